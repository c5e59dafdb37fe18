import { TLSSocket } from 'node:tls';
import type { X509Certificate } from 'node:crypto';
import type { EndDetail } from '../audit/record.ts';
import { nameFault } from '../auth/users-file.ts';
import type { Authentication, Identity } from '../auth/identity.ts';
import type { Connection } from '../net/engine.ts';
import type { Method } from '../policy/policy.ts';
import { adviceOnClient, alertCode, alertOn, clientFault, NO_USER } from '../tls/certificate.ts';
import { guard, HOLDS_LITTLE } from '../tls/guard.ts';
import { decodeAlert, encodeAlert } from '../wire/tls-alert.ts';
import { codeOf } from '../wire/error-code.ts';
import { Failure } from './failure.ts';
import type { Session } from './session/session.ts';
import type { ServerState } from './session/state.ts';
import type { ListenerTls } from './listen/tls-context.ts';

/** The first byte of a handshake. */
const HANDSHAKE = 22;

/**
 * Performs the TLS handshake with a client; from then on, the session's connection is the plain side, and its
 * identity that of the client's certificate, if any.
 */
export async function secure(
  session: Session,
  { context, asks, protocols }: ListenerTls,
  methods: readonly Method[],
  state: Pick<ServerState, 'authenticator' | 'engine' | 'log'>,
): Promise<void> {
  const { client } = session;
  session.enters('greeting');
  await expectTls(client);
  const carrier = client.detach();
  const tls = new TLSSocket(carrier, {
    isServer: true,
    secureContext: context,
    requestCert: asks,
    rejectUnauthorized: asks && demandsCertificate(methods),
    ALPNProtocols: [...protocols],
    ...HOLDS_LITTLE,
  });
  guard(tls, carrier);
  session.secured(state.engine.adopt(tls, client.local, client.remote, tls));
  try {
    await secured(tls, session.client);
    if (asks) await identify(tls, session, methods, state.authenticator);
    await expectNoAlert(session.client);
  } catch (error) {
    if (session.failure !== undefined) throw session.failure;
    const failure = asFailure(error);
    const advice = adviceOnClient(failure.detail ?? '');
    const { remote, place } = session;
    if (advice !== undefined)
      state.log.warnSeldom('client-link-failed', {
        client: remote.host,
        listener: place,
        code: failure.detail,
        advice,
      });
    throw failure;
  }
}

/** Whether a certificate is mandatory: always, unless it is an alternative to other methods. */
function demandsCertificate(methods: readonly Method[]): boolean {
  return !methods.includes('certificate') || methods.every((method) => method === 'certificate');
}

/** OpenSSL would wait for more bytes of something that cannot be TLS. */
async function expectTls(client: Connection): Promise<void> {
  const bytes = await client.read();
  if (bytes === undefined) throw new Failure('client', 'greeting');
  client.unread(bytes);
  if (bytes[0] !== HANDSHAKE) throw new Failure('client', 'greeting', 'no-tls');
}

async function secured(tls: TLSSocket, client: Connection): Promise<void> {
  const isSecure = await new Promise<boolean>((resolve) => {
    const lost = (): void => resolve(false);
    tls
      .once('secure', () => resolve(true))
      .once('end', lost)
      .once('close', lost);
  });
  if (isSecure && !tls.destroyed) return;
  await client.read(); // rejects with the reason for the loss
  throw new Failure('client', 'greeting');
}

/** Sets the identity from the certificate, if that is used for identification, or throws. */
async function identify(
  tls: TLSSocket,
  session: Session,
  methods: readonly Method[],
  authenticator: Authentication | undefined,
): Promise<void> {
  const certificate = tls.getPeerX509Certificate();
  if (certificate === undefined && !demandsCertificate(methods)) return;
  const fault = clientFault(certificate, chainFault(tls));
  const isAsked = fault === undefined && methods.includes('certificate');
  const identity = isAsked ? await session.whileOpen(identityOf(certificate!, authenticator)) : undefined;
  const refusal = isAsked && identity === undefined ? NO_USER : fault;
  if (refusal !== undefined) {
    session.client.write(encodeAlert(alertOn(refusal)));
    throw new Failure('client', 'greeting', refusal as EndDetail);
  }
  if (identity !== undefined) session.identifiedAs(identity);
}

/** OpenSSL's verdict on a client's chain; Node exposes it only on servers of its own. */
function chainFault(tls: TLSSocket): string | undefined {
  const { ssl } = tls as TLSSocket & { readonly ssl: { verifyError(): Error | null } };
  const error = ssl.verifyError();
  return error === null || error === undefined ? undefined : (codeOf(error) ?? 'unknown');
}

/** If there are users, it must be one of them; otherwise the CA's signature suffices. */
async function identityOf(
  certificate: X509Certificate,
  authenticator: Authentication | undefined,
): Promise<Identity | undefined> {
  const user = nameIn(certificate);
  if (user === undefined) return undefined;
  if (authenticator?.identities === undefined) return { user, groups: [] };
  const [identity] = await authenticator.identities([user]);
  return identity;
}

/** An entry of subjectAltName; a quoted one contains characters that are invalid in names. */
const ENTRY = /([^:,"]+):(?:"(?:[^"\\]|\\.)*"|([^,"]*))(?:, |$)/gy;

/**
 * The common name; without one, the first DNS name or else the first mail address of subjectAltName. With two
 * common names, neither is used.
 */
function nameIn(certificate: X509Certificate): string | undefined {
  const common = certificate.toLegacyObject().subject.CN as string | readonly string[] | undefined;
  if (common === undefined) {
    const entries = [...(certificate.subjectAltName ?? '').matchAll(ENTRY)];
    const first = (type: string): string | undefined => entries.find((entry) => entry[1] === type)?.[2];
    return usable(first('DNS') ?? first('email'));
  }
  return typeof common === 'string' ? usable(common) : undefined;
}

function usable(name: string | undefined): string | undefined {
  return name === undefined || nameFault(name) !== undefined ? undefined : name;
}

/** A client that refuses this listener's certificate sends an alert in place of its first message. */
async function expectNoAlert(client: Connection): Promise<void> {
  const bytes = await client.read();
  if (bytes === undefined) return;
  const alert = decodeAlert(bytes);
  if (alert !== undefined) throw new Failure('client', 'greeting', `alert-${alert}`);
  client.unread(bytes);
}

function asFailure(error: unknown): Failure {
  const code = codeOf(error);
  if (error instanceof Failure || code === undefined) return Failure.from(error, 'greeting');
  return new Failure('client', 'greeting', alertCode(code) as EndDetail, undefined, error);
}
