import type { Admission } from '../policy/accept.ts';
import type { Method, Protocol } from '../policy/policy.ts';
import { NO_USER } from '../tls/certificate.ts';
import { Method as MethodCode } from '../wire/socks5.ts';
import { Failure } from './failure.ts';
import type { ListenerSettings } from './settings.ts';

/**
 * The methods open to a client under the accept rules, by preference. Throws the Failure of a client that
 * they refuse.
 */
export function methodsFor(
  { allow, rule }: Admission,
  { methods }: Pick<ListenerSettings, 'methods'>,
): readonly Method[] {
  if (!allow) throw Failure.atAccept(rule?.name);
  return rule?.methods ?? methods;
}

/** The codes of the methods in SOCKS5. */
export const METHOD_CODES: Readonly<Record<Method, 0 | 2>> = {
  none: MethodCode.none,
  password: MethodCode.password,
  // The certificate has already been verified in TLS, so SOCKS has nothing left to ask.
  certificate: MethodCode.none,
};

/** The methods offered by a request without a greeting: HTTP can send a password, SOCKS4 cannot. */
export function shownWith(password: boolean): readonly number[] {
  return password ? ANY_METHOD : NO_PASSWORD;
}

const NO_PASSWORD: readonly number[] = [MethodCode.none];
const ANY_METHOD: readonly number[] = [MethodCode.none, MethodCode.password];

/** The first method that the client offers too; `certificate` only if the client has one. */
export function chooseMethod(
  methods: readonly Method[],
  offered: readonly number[],
  isCertified: boolean,
): Method | undefined {
  return methods.find(
    (name) => offered.includes(METHOD_CODES[name]) && (name !== 'certificate' || isCertified),
  );
}

/** A certificate is refused in the TLS handshake, a password with its reason in the record. */
export function noUser(method: Method, reason: 'wrong' | 'expired' | 'disabled'): Failure {
  return method === 'certificate'
    ? new Failure('client', 'greeting', NO_USER)
    : Failure.refusal(reason, 'auth');
}

/** No acceptable method. SOCKS4 has no greeting. */
export function noMethod(protocol: Protocol): Failure {
  return Failure.refusal('no-method', protocol === 'socks4' ? 'request' : 'greeting');
}

/** A listener may want to know where datagrams will come from. Throws the Failure of a client that does not say. */
export function checkDeclaredPort({ declaredPort }: ListenerSettings['udp'], port: number): void {
  if (declaredPort === 'require' && port === 0) throw Failure.refusal('declared-port');
}
