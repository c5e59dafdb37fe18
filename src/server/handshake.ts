import type { Identity, PasswordVerdict } from '../auth/authenticator.ts';
import type { Method } from '../policy/policy.ts';
import { ServerSession } from '../handshake/server.ts';
import type { RequestEvent } from '../handshake/server.ts';
import { withoutZone } from '../wire/ip.ts';
import { chooseMethod, METHOD_CODES, NO_METHOD, noMethod } from './admission.ts';
import { Failure } from './failure.ts';
import type { Session } from './session/session.ts';
import type { ServerState } from './session/state.ts';

/**
 * From the first byte to the request: feeds the machine, picks the method and asks who it is. The caller still holds
 * the machine when this fails, so that it can say farewell in the client's protocol. `certified`: who the client is by the
 * certificate that it has shown.
 */
export async function handshake(
  session: Session,
  machine: ServerSession,
  methods: readonly Method[],
  state: ServerState,
  certified: Identity | undefined,
): Promise<RequestEvent> {
  const { client } = session;
  session.phase = 'greeting';
  for (;;) {
    const event = machine.next();
    if (event === undefined) {
      const bytes = await client.read();
      if (bytes === undefined) throw new Failure('client', session.phase);
      machine.receive(bytes);
      continue;
    }
    switch (event.type) {
      case 'greeting': {
        const method = chooseMethod(methods, event.methods, certified !== undefined);
        client.write(machine.chooseMethod(method && METHOD_CODES[method]));
        if (method === undefined) throw noMethod('socks5');
        session.method = method;
        if (method === 'certificate') session.identity = certified;
        session.phase = method === 'password' ? 'auth' : 'request';
        break;
      }
      case 'password':
        await identify(session, machine, event, state);
        session.phase = 'request';
        break;
      case 'request':
        // SOCKS4 has no greeting: its user id is a claim, and nobody vouches for it.
        if (event.protocol === 'socks4') {
          session.method = chooseMethod(methods, NO_METHOD, certified !== undefined);
          if (session.method === undefined) throw noMethod('socks4');
          if (session.method === 'certificate') session.identity = certified;
        }
        session.phase = 'request';
        session.protocol = event.protocol;
        return event;
      case 'foreign':
        throw new Failure('client', 'greeting', event.kind);
      default:
        event satisfies never;
    }
  }
}

async function identify(
  session: Session,
  machine: ServerSession,
  credentials: { readonly username: string; readonly password: string },
  state: ServerState,
): Promise<void> {
  const { client } = session;
  const { username, password } = credentials;
  // Counts, firewalls and embedding programs know addresses without a zone.
  const address = withoutZone(session.remote.host);
  let verdict: PasswordVerdict;
  state.connections.checks(session);
  try {
    const check = state.authenticator?.verify(username, password, address);
    verdict = (await session.whileOpen(check)) ?? NOBODY;
  } catch (error) {
    throw error instanceof Failure ? error : new Failure('internal', 'auth', undefined, undefined, error);
  }
  client.write(machine.answerPassword(verdict.ok));
  if (!verdict.ok) {
    const { reason } = verdict;
    state.log.warn('login failed', { client: address, user: username, reason });
    throw Failure.refusal(reason, 'auth');
  }
  state.connections.stopsWaiting(session);
  session.identity = verdict.identity;
  if (state.outbound.routes.passCredentials) session.credentials = { username, password };
}

/** A listener may ask for passwords before there are users. */
const NOBODY: PasswordVerdict = { ok: false, reason: 'wrong' };
