import type { PasswordVerdict } from '../auth/identity.ts';
import type { Method } from '../policy/policy.ts';
import type { RequestEvent } from '../handshake/protocol.ts';
import type { ServerHandshake } from '../handshake/server.ts';
import { withoutZone } from '../wire/ip.ts';
import type { Credentials } from '../wire/password.ts';
import { chooseMethod, METHOD_CODES, noMethod, shownWith } from './admission.ts';
import { Failure } from './failure.ts';
import type { Session } from './session/session.ts';
import type { ServerState } from './session/state.ts';

/** The state that is used to identify clients. */
type Identifying = Pick<ServerState, 'authenticator' | 'connections' | 'log' | 'outbound'>;

/**
 * From the first byte to the request: feeds the handshake, chooses the method and identifies the client. The
 * caller owns the handshake, so that it can refuse in the client's protocol when this fails. Only a certificate
 * can have identified the client before.
 */
export async function receiveRequest(
  session: Session,
  handshake: ServerHandshake,
  methods: readonly Method[],
  state: Identifying,
): Promise<RequestEvent> {
  const { client } = session;
  session.enters('greeting');
  for (;;) {
    const event = handshake.next();
    if (event === undefined) {
      const bytes = await client.read();
      if (bytes === undefined) throw new Failure('client', session.phase);
      handshake.receive(bytes);
      continue;
    }
    switch (event.type) {
      case 'greeting': {
        const method = chooseMethod(methods, event.methods, session.identity !== undefined);
        if (method === undefined) throw noMethod('socks5');
        client.write(handshake.chooseMethod(METHOD_CODES[method]));
        session.usesMethod(method);
        break;
      }
      case 'password':
        await identify(session, event, state);
        accept(session, handshake);
        break;
      case 'request':
        if (session.method === undefined) {
          const shown = shownWith(event.credentials !== undefined);
          const method = chooseMethod(methods, shown, session.identity !== undefined);
          // SOCKS4 has no credentials: its user id is an unverified claim.
          if (method === undefined) throw noMethod(event.protocol);
          session.usesMethod(method);
          if (method === 'password') await identify(session, event.credentials!, state);
          accept(session, handshake);
        }
        return event;
      case 'foreign':
        throw new Failure('client', 'greeting', event.kind);
      default:
        event satisfies never;
    }
  }
}

function accept(session: Session, handshake: ServerHandshake): void {
  const answer = handshake.accept();
  if (answer !== undefined) session.client.write(answer);
  session.enters('request');
}

/** Sets the identity of the session, or throws. */
async function identify(
  session: Session,
  { username, password }: Credentials,
  state: Identifying,
): Promise<void> {
  // Counters, firewalls and embedding programs expect addresses without a zone.
  const address = withoutZone(session.remote.host);
  let verdict: PasswordVerdict;
  state.connections.checks(session);
  try {
    const check = state.authenticator?.verify(username, password, address);
    verdict = (await session.whileOpen(check)) ?? NOBODY;
  } catch (error) {
    throw error instanceof Failure ? error : new Failure('internal', 'auth', undefined, undefined, error);
  }
  if (!verdict.ok) {
    const { reason } = verdict;
    // The user name comes last: a client must not be able to forge the fields that log readers act on.
    state.log.warn('login-failed', {
      id: session.id,
      client: session.clientPlace,
      reason,
      user: username,
    });
    throw Failure.refusal(reason, 'auth');
  }
  state.connections.stopsWaiting(session);
  const isPassedOn = state.outbound.routes.passCredentials;
  session.identifiedAs(verdict.identity, isPassedOn ? { username, password } : undefined);
}

/** A listener can require passwords before there are users. */
const NOBODY: PasswordVerdict = { ok: false, reason: 'wrong' };
