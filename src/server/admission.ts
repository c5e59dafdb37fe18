import type { Admission } from '../policy/accept.ts';
import type { Method, Protocol } from '../policy/policy.ts';
import { NO_USER } from '../tls/certificate.ts';
import { Method as MethodCode } from '../wire/socks5.ts';
import { Failure } from './failure.ts';
import type { ListenerSettings } from './settings.ts';

/** The methods that a client may use which the accept rules let in, by preference. Throws the Failure of one that they do not. */
export function methodsFor(
  { allow, rule }: Admission,
  { methods }: Pick<ListenerSettings, 'methods'>,
): readonly Method[] {
  if (!allow) throw Failure.atAccept(rule?.name);
  return rule?.methods ?? methods;
}

/** Methods as SOCKS5 has them. */
export const METHOD_CODES: Readonly<Record<Method, 0 | 2>> = {
  none: MethodCode.none,
  password: MethodCode.password,
  // It was shown before; SOCKS has nothing left to ask.
  certificate: MethodCode.none,
};

/** What a request offers that comes without a greeting: in SOCKS4 nothing, in HTTP a password if it shows one. */
export const NO_PASSWORD: readonly number[] = [MethodCode.none];
export const ANY_METHOD: readonly number[] = [MethodCode.none, MethodCode.password];

/** The first method that the client offers too; without a certificate it has no use for that one. */
export function chooseMethod(
  methods: readonly Method[],
  offered: readonly number[],
  isCertified: boolean,
): Method | undefined {
  return methods.find(
    (name) => offered.includes(METHOD_CODES[name]) && (name !== 'certificate' || isCertified),
  );
}

/** A certificate is refused in the handshake of TLS, a password with its reason in the record. */
export function noUser(method: Method, reason: 'wrong' | 'expired'): Failure {
  return method === 'certificate'
    ? new Failure('client', 'greeting', NO_USER)
    : Failure.refusal(reason, 'auth');
}

/** There is no such method. SOCKS4 has no greeting. */
export function noMethod(protocol: Protocol): Failure {
  return Failure.refusal('no-method', protocol === 'socks4' ? 'request' : 'greeting');
}
