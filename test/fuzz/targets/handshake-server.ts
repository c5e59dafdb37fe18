import type { Decoded } from '../../../src/wire/decoded.ts';
import { WireError } from '../../../src/wire/error.ts';
import { decodeHttpReply } from '../../../src/wire/http.ts';
import { decodePasswordStatus } from '../../../src/wire/password.ts';
import { decodeSocks4Reply } from '../../../src/wire/socks4.ts';
import { Command, decodeMethod, decodeSocks5Reply, Reply } from '../../../src/wire/socks5.ts';
import type { ServerEvent, ServerProtocol, ServerHandshakeState } from '../../../src/handshake/protocol.ts';
import { ServerHandshake } from '../../../src/handshake/server.ts';
import { cut, pieces } from '../chunks.ts';
import { Draw } from '../draw.ts';
import { hex, keeps, same, words } from '../target.ts';
import type { Target } from '../target.ts';

/** The longest SOCKS message: a SOCKS4A request with 255 bytes each of user id and name. */
const LONGEST_MESSAGE = 8 + 256 + 256;

/** The behaviour of the server behind the handshake. */
interface Manner {
  readonly protocols: readonly ServerProtocol[];
  readonly prefers: readonly (0 | 2)[];
  readonly acceptsPassword: boolean;
  readonly reply: Reply;
  /** The event that it never answers. */
  readonly leaves: ServerEvent['type'] | undefined;
}

interface Play {
  readonly events: readonly ServerEvent[];
  readonly written: Buffer;
  readonly state: ServerHandshakeState;
  readonly error: string | undefined;
  /** The bytes after the request, once it is known. */
  readonly trailing: Buffer | undefined;
  readonly refusal: Uint8Array | undefined;
  /** Bytes received before the last event. */
  readonly eaten: number;
}

export const targets: readonly Target[] = [
  {
    name: 'handshake-server',
    testRuns: 8000,
    seeds: [
      '0000000000 00 050100 05010003 0b6578616d706c652e636f6d0050 5353482d',
      '0000000000 020307 05020002 0105616c69636506736563726574 05010001c0000201 01bb ff',
      '0200000000 0109 0401005000000001 6a6f6500 6578616d706c652e636f6d00 5353482d',
      '0000000000 00 04020015c000020100',
      '0000000000 0105 474554202f20485454502f312e310d0a0d0a',
      '0000000000 00 1603010200',
      '0000000004 00 050100 05020004 20010db8000000000000000000000001 0035',
      '0300000000 00 434f4e4e45435420613a3120485454502f312e310d0a0d0a 5353482d',
      '0300010000 00 434f4e4e45435420613a3120485454502f312e310d0a50726f78792d417574686f72697a6174696f6e3a20426173696320595778705932553663484e33636d51 0d0a0d0a',
    ].map(hex),
    tokens: words('\x05\x01\0 \x05\x02\0\x02 \x05\x01\0\x03 \x04\x01\0\x50\0\0\0\x01 CONNECT PROXY'),
    run(input) {
      const draw = new Draw(input);
      const manner: Manner = {
        protocols: draw.pick([['socks5', 'socks4'], ['socks5'], ['socks4'], ['socks5', 'http']] as const),
        prefers: draw.pick([[2, 0], [0, 2], [0], [2]] as const),
        acceptsPassword: !draw.chance(),
        reply: draw.pick([Reply.succeeded, Reply.succeeded, Reply.notAllowed, Reply.hostUnreachable]),
        leaves: draw.pick([undefined, undefined, 'greeting', 'password', 'request'] as const),
      };
      const cuts = draw.bytes(draw.below(8));
      const stream = draw.bytes(1500);

      const { eaten, ...result } = play(pieces(stream, 1), manner);
      for (const chunks of [[stream], cut(stream, cuts)]) {
        const { eaten: _, ...other } = play(chunks, manner);
        same('the pieces make no difference', other, result);
      }
      if (result.trailing !== undefined)
        same('what was not eaten comes back', result.trailing, Buffer.from(stream.subarray(eaten)));
      const isWaiting =
        ['greeting', 'password', 'request'].includes(result.state) && !manner.protocols.includes('http');
      keeps('no more is kept than a message', !isWaiting || stream.length - eaten <= LONGEST_MESSAGE);
      checkRefusal(result);
      const kinds = result.events.map((event) => ('protocol' in event ? event.protocol : event.type));
      return `${kinds.join(' ')} ${result.state} ${result.error}`;
    },
  },
];

/** Runs a handshake on a stream in these pieces. */
function play(chunks: readonly Uint8Array[], manner: Manner): Play {
  const handshake = new ServerHandshake({ protocols: manner.protocols });
  const events: ServerEvent[] = [];
  const written: Uint8Array[] = [];
  let error: string | undefined;
  let come = 0;
  let eaten = 0;
  for (const chunk of chunks) {
    handshake.receive(chunk);
    come += chunk.length;
    try {
      for (let event = handshake.next(); event !== undefined; event = handshake.next()) {
        keeps('nothing is heard after an error', error === undefined);
        events.push(event);
        eaten = come;
        if (event.type !== manner.leaves) written.push(...answer(handshake, event, manner));
      }
    } catch (thrown) {
      if (!(thrown instanceof WireError)) throw thrown;
      keeps('there is one error', error === undefined);
      error = thrown.code;
      keeps('an error closes the handshake', handshake.state === 'closed');
    }
  }
  const { state } = handshake;
  const isKnown = state === 'reply' || state === 'done';
  const trailing = isKnown ? Buffer.from(handshake.trailing()) : undefined;
  const refusal = handshake.refuse();
  same('a refusal is the end', handshake.state, 'closed');
  return { events, written: Buffer.concat(written), state, error, trailing, refusal, eaten };
}

function answer(handshake: ServerHandshake, event: ServerEvent, manner: Manner): Uint8Array[] {
  switch (event.type) {
    case 'greeting': {
      const method = manner.prefers.find((one) => event.methods.includes(one));
      return present(method === undefined ? handshake.refuse() : handshake.chooseMethod(method));
    }
    case 'password':
      return present(manner.acceptsPassword ? handshake.accept() : handshake.refuse());
    case 'request': {
      if (handshake.state === 'verdict') {
        if (event.credentials !== undefined && !manner.acceptsPassword)
          return present(handshake.refuse(Reply.notAllowed));
        keeps('a request is accepted without a word of its own', handshake.accept() === undefined);
      }
      const first = handshake.reply(manner.reply, { host: '192.0.2.9', port: 1 });
      if (event.command !== Command.bind || manner.reply !== Reply.succeeded) return [first];
      return [first, handshake.reply(manner.reply, { host: '2001:db8::1', port: 2 })];
    }
    case 'foreign':
      return [];
    default:
      return event satisfies never;
  }
}

function present(bytes: Uint8Array | undefined): Uint8Array[] {
  return bytes === undefined ? [] : [bytes];
}

/** The last message must be one that a client of this protocol can read as a refusal. */
function checkRefusal({ refusal, error, events, state }: Omit<Play, 'eaten'>): void {
  const isForeign = events.some((event) => event.type === 'foreign');
  if (refusal === undefined) {
    keeps('who waits for an answer gets one', !['method', 'verdict', 'reply'].includes(state));
    return;
  }
  if (isForeign) {
    keeps('HTTP clients are refused in HTTP', Buffer.from(refusal).toString().startsWith('HTTP/1.1 400 '));
    return;
  }
  keeps('a refusal comes with an error, or to a question', error !== undefined || state !== 'closed');
  const decoders = [decodeMethod, decodePasswordStatus, decodeSocks4Reply, decodeSocks5Reply];
  const isHttp = Buffer.from(refusal).toString().startsWith('HTTP/1.1 ');
  const isMessage = isHttp
    ? isWhole(decodeHttpReply, refusal)
    : decoders.some((decode) => isWhole(decode, refusal));
  keeps('a refusal is one message', isMessage, () => Buffer.from(refusal).toString('hex'));
}

function isWhole(decode: (bytes: Uint8Array) => Decoded<unknown> | undefined, bytes: Uint8Array): boolean {
  try {
    return decode(bytes)?.size === bytes.length;
  } catch (error) {
    if (error instanceof WireError) return false;
    throw error;
  }
}
