import type { Connection } from '../net/engine.ts';
import type { ClientSession } from '../handshake/client.ts';
import type { ClientEvent, ClientSessionState, ReplyEvent } from '../handshake/protocol.ts';
import { UNSPECIFIED } from '../wire/address.ts';
import { WireError } from '../wire/error.ts';
import { Reply } from '../wire/socks5.ts';
import { UpstreamError } from './error.ts';
import type { Trouble, UpstreamCode } from './error.ts';

/**
 * Talks to a proxy server until its next reply, the first or, for BIND, the second. What it has sent behind the reply stays in
 * the stream. `asked` is called when the server is known to be there and the request is on its way: what takes time from then on
 * is the destination.
 */
export async function nextReply(
  stream: Connection,
  session: ClientSession,
  label: string,
  asked: () => void,
): Promise<ReplyEvent> {
  if (session.state === 'start') stream.write(session.start());
  for (;;) {
    const event = await nextEvent(stream, session, label);
    if (event.type === 'reply') {
      if (session.state === 'done') stream.unread(session.trailing());
      return event;
    }
    stream.write(event.bytes);
    if (session.state === 'reply') asked();
  }
}

/**
 * Talks to a server until it is known to let us in: one that speaks SOCKS5 has said so before it is asked for anything. The
 * other protocols begin with the request, and any reply will do.
 */
export async function greet(
  stream: Connection,
  session: ClientSession,
  label: string,
): Promise<Pick<ReplyEvent, 'ok' | 'reply' | 'bound'>> {
  let event: Awaited<ReturnType<typeof nextEvent>> = {
    type: 'send',
    bytes: session.start(),
    awaits: 'method',
  };
  do {
    stream.write(event.bytes);
    event = await nextEvent(stream, session, label);
  } while (event.type === 'send' && session.state !== 'reply');
  return { ok: true, reply: Reply.succeeded, bound: UNSPECIFIED };
}

/** The next event that needs something done; a refusal is an error. */
async function nextEvent(
  stream: Connection,
  session: ClientSession,
  label: string,
): Promise<Exclude<ClientEvent, { readonly type: 'refused' }>> {
  for (;;) {
    const event = takeEvent(session, label) ?? (await listen(stream, session, label));
    if (event?.type === 'refused') throw new UpstreamError('refused', label, event.phase);
    if (event !== undefined) return event;
  }
}

function takeEvent(session: ClientSession, label: string): ReturnType<ClientSession['next']> {
  const { state } = session;
  try {
    return session.next();
  } catch (error) {
    if (error instanceof WireError)
      throw new UpstreamError(troubleIn(state), label, error.code, undefined, error);
    throw error;
  }
}

/** With the request it has the destination, which may have made it do that. */
function troubleIn(state: ClientSessionState): Trouble {
  return state === 'reply' || state === 'bind' ? 'silent' : 'unreachable';
}

/** Gives the session what comes; when that is the end of the stream, what it comes to. */
async function listen(
  stream: Connection,
  session: ClientSession,
  label: string,
): Promise<ClientEvent | undefined> {
  const { state } = session;
  let error: unknown;
  let code: UpstreamCode = 'closed';
  try {
    const bytes = await stream.read();
    if (bytes !== undefined) {
      session.receive(bytes);
      return undefined;
    }
  } catch (lost) {
    if (lost instanceof UpstreamError || typeof (lost as NodeJS.ErrnoException).code !== 'string') throw lost;
    error = lost;
    code = (lost as { readonly code: UpstreamCode }).code;
  }
  const event = session.ended();
  if (event === undefined) throw new UpstreamError(troubleIn(state), label, code, undefined, error);
  return event;
}
