import type { PasswordVerdict } from '../auth/authenticator.ts';
import type { Method } from '../policy/policy.ts';
import { ServerSession } from '../session/server.ts';
import type { RequestEvent } from '../session/server.ts';
import { Method as MethodCode } from '../wire/socks5.ts';
import { Failure } from './failure.ts';
import type { Session } from './sessions.ts';
import type { ServerState } from './state.ts';

const METHOD_CODES: Readonly<Record<Method, 0 | 2>> = {
  none: MethodCode.none,
  password: MethodCode.password,
};

/**
 * From the first byte to the request: feeds the machine, picks the method and asks who it is. The caller still holds
 * the machine when this fails, so that it can say farewell in the client's protocol.
 */
export async function handshake(
  session: Session,
  machine: ServerSession,
  methods: readonly Method[],
  state: ServerState,
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
        const method = methods.find((name) => event.methods.includes(METHOD_CODES[name]));
        client.write(machine.chooseMethod(method && METHOD_CODES[method]));
        if (method === undefined) throw Failure.refusal('no-method', 'greeting');
        session.method = method;
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
          if (!methods.includes('none')) throw Failure.refusal('no-method');
          session.method = 'none';
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
  let verdict: PasswordVerdict;
  try {
    const check = state.authenticator?.verify(username, password, session.remote.host);
    verdict = (await session.whileOpen(check)) ?? NOBODY;
  } catch (error) {
    throw error instanceof Failure ? error : new Failure('internal', 'auth', undefined, undefined, error);
  }
  client.write(machine.answerPassword(verdict.ok));
  if (!verdict.ok) {
    const { reason } = verdict;
    state.log.warn('login failed', { client: session.remote.host, user: username, reason });
    throw Failure.refusal(reason, 'auth');
  }
  session.identity = verdict.identity;
  if (state.routes.passCredentials) session.credentials = { username, password };
}

/** A listener may ask for passwords before there are users. */
const NOBODY: PasswordVerdict = { ok: false, reason: 'wrong' };
