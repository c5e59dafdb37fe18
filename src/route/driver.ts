import type { Connection } from '../net/engine.ts';
import type { ClientHandshake } from '../handshake/client.ts';
import type { ClientEvent, ClientHandshakeState, ReplyEvent, SendEvent } from '../handshake/protocol.ts';
import { codeOf } from '../wire/error-code.ts';
import { UNSPECIFIED } from '../wire/address.ts';
import { Reply } from '../wire/socks5.ts';
import { UpstreamError } from './error.ts';
import type { Trouble, UpstreamCode } from './error.ts';

/**
 * Talks to a proxy server until its next reply: the first or, for BIND, the second. Bytes behind the reply
 * stay in the stream. `asked` is called once the server has responded and the request is on its way: any
 * delay from then on is the destination's.
 */
export async function nextReply(
  stream: Connection,
  handshake: ClientHandshake,
  label: string,
  asked: () => void,
): Promise<ReplyEvent> {
  if (handshake.state === 'start') stream.write(handshake.start());
  for (;;) {
    const event = await upstreamEvent(stream, handshake, label);
    if (event.type === 'reply') return event;
    stream.write(event.bytes);
    if (event.awaits === 'reply') asked();
  }
}

/**
 * Talks to a server until it is known to accept us. A SOCKS5 server shows this before the request; the other
 * protocols begin with the request, and any reply will do.
 */
export async function greet(
  stream: Connection,
  handshake: ClientHandshake,
  label: string,
): Promise<Pick<ReplyEvent, 'ok' | 'reply' | 'bound'>> {
  stream.write(handshake.start());
  for (;;) {
    const event = await upstreamEvent(stream, handshake, label);
    if (event.type === 'reply' || event.awaits === 'reply')
      return { ok: true, reply: Reply.succeeded, bound: UNSPECIFIED };
    stream.write(event.bytes);
  }
}

/**
 * The server's next event; `undefined` when it has ended its direction before one. Bytes behind its last
 * reply go back into the stream. Rejects with a WireError, or as the stream's `read` does.
 */
export async function nextEvent(
  stream: Connection,
  handshake: ClientHandshake,
): Promise<ClientEvent | undefined> {
  for (;;) {
    const event = handshake.next();
    if (event !== undefined) {
      if (handshake.state === 'done') stream.unread(handshake.trailing());
      return event;
    }
    let bytes: Uint8Array | undefined;
    try {
      bytes = await stream.read();
    } catch (error) {
      const refusal = isFault(error) ? handshake.ended() : undefined;
      if (refusal === undefined) throw error;
      return refusal;
    }
    if (bytes === undefined) return handshake.ended();
    handshake.receive(bytes);
  }
}

/** An event that requires action. Refusals and all failures are thrown. */
async function upstreamEvent(
  stream: Connection,
  handshake: ClientHandshake,
  label: string,
): Promise<SendEvent | ReplyEvent> {
  const trouble = troubleIn(handshake.state);
  let event: ClientEvent | undefined;
  try {
    event = await nextEvent(stream, handshake);
  } catch (error) {
    throw isFault(error) ? new UpstreamError(trouble, label, error.code, undefined, error) : error;
  }
  if (event === undefined) throw new UpstreamError(trouble, label, 'closed');
  if (event.type === 'refused') throw new UpstreamError('refused', label, event.phase);
  return event;
}

/** Once the server has the request, the destination may be the cause. */
function troubleIn(state: ClientHandshakeState): Trouble {
  return state === 'reply' || state === 'bind' ? 'silent' : 'unreachable';
}

/**
 * A fault of the server or of the path to it; any other error is the reason for which the stream was
 * destroyed.
 */
function isFault(error: unknown): error is Error & { readonly code: UpstreamCode } {
  return !(error instanceof UpstreamError) && codeOf(error) !== undefined;
}
