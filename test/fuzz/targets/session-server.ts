import { WireError } from '../../../src/wire/error.ts';
import { decodePasswordStatus } from '../../../src/wire/password.ts';
import { decodeSocks4Reply } from '../../../src/wire/socks4.ts';
import { Command, decodeMethod, decodeSocks5Reply, Reply } from '../../../src/wire/socks5.ts';
import { ServerSession } from '../../../src/session/server.ts';
import type { ServerEvent, ServerProtocol } from '../../../src/session/server.ts';
import { cut, pieces } from '../chunks.ts';
import { Draw } from '../draw.ts';
import { hex, keeps, same, utf8 } from '../target.ts';
import type { Target } from '../target.ts';

/** No message of a handshake is longer: a SOCKS4A request with 255 bytes of user id and of name. */
const LONGEST_MESSAGE = 8 + 256 + 256;

/** How the server behind the session answers. */
interface Manner {
  readonly protocols: readonly ServerProtocol[];
  readonly prefers: readonly (0 | 2)[];
  readonly acceptsPassword: boolean;
  readonly reply: Reply;
}

interface Play {
  readonly events: readonly ServerEvent[];
  readonly written: Buffer;
  readonly state: string;
  readonly error: string | undefined;
  /** What the session gives back, once the request is known. */
  readonly trailing: Buffer | undefined;
  readonly farewell: Uint8Array | undefined;
}

export const targets: readonly Target[] = [
  {
    name: 'session-server',
    seeds: [
      '00 00 050100 05010003 0b6578616d706c652e636f6d0050 5353482d',
      '12 02 0307 05020002 0105616c69636506736563726574 05010001c0000201 01bb ff',
      '21 01 09 0401005000000001 6a6f6500 6578616d706c652e636f6d00 5353482d',
      '20 00 04020015c000020100',
      '00 01 05 474554202f20485454502f312e310d0a0d0a',
      '00 00 1603010200',
      '00 00 050100 05020004 20010db8000000000000000000000001 0035',
    ].map(hex),
    tokens: [
      '\x05\x01\0',
      '\x05\x02\0\x02',
      '\x05\x01\0\x03',
      '\x04\x01\0\x50\0\0\0\x01',
      'CONNECT ',
      'PROXY ',
    ].map(utf8),
    run(input) {
      const draw = new Draw(input);
      const manner: Manner = {
        protocols: draw.pick([['socks5', 'socks4'], ['socks5'], ['socks4']] as const),
        prefers: draw.pick([[2, 0], [0, 2], [0], [2]] as const),
        acceptsPassword: !draw.chance(),
        reply: draw.pick([Reply.succeeded, Reply.succeeded, Reply.notAllowed, Reply.hostUnreachable]),
      };
      const cuts = draw.bytes(draw.below(8));
      const stream = draw.bytes(1500);

      const whole = play([stream], manner);
      same('the pieces make no difference', play(cut(stream, cuts), manner), whole);
      const single = eaten(stream, manner);
      same('nor do single bytes', play(pieces(stream, 1), manner), whole);
      if (whole.trailing !== undefined)
        same('what was not eaten comes back', whole.trailing, Buffer.from(stream.subarray(single)));
      const isWaiting = ['greeting', 'password', 'request'].includes(whole.state);
      keeps('no more is kept than a message', !isWaiting || stream.length - single <= LONGEST_MESSAGE);
      checkFarewell(whole);
      const kinds = whole.events.map((event) => ('protocol' in event ? event.protocol : event.type));
      return `${kinds.join(' ')} ${whole.state} ${whole.error}`;
    },
  },
];

/** What a session makes of a stream in these pieces. */
function play(chunks: readonly Uint8Array[], manner: Manner): Play {
  const session = new ServerSession({ protocols: manner.protocols });
  const events: ServerEvent[] = [];
  const written: Uint8Array[] = [];
  let error: string | undefined;
  for (const chunk of chunks) {
    session.receive(chunk);
    try {
      for (let event = session.next(); event !== undefined; event = session.next()) {
        keeps('nothing is heard after an error', error === undefined);
        events.push(event);
        written.push(...answer(session, event, manner));
      }
    } catch (thrown) {
      if (!(thrown instanceof WireError)) throw thrown;
      keeps('there is one error', error === undefined);
      error = thrown.code;
      keeps('an error closes the session', session.state === 'closed');
    }
  }
  const { state } = session;
  const isKnown = ['reply', 'bind', 'done', 'closed'].includes(state);
  const trailing = isKnown && error === undefined ? Buffer.from(session.trailing()) : undefined;
  const farewell = session.farewell();
  same('a farewell is the end', session.state, 'closed');
  // What came after a refusal or a foreign protocol was forgotten.
  const isOpen = state !== 'closed';
  return {
    events,
    written: Buffer.concat(written),
    state,
    error,
    trailing: isOpen ? trailing : undefined,
    farewell,
  };
}

function answer(session: ServerSession, event: ServerEvent, manner: Manner): Uint8Array[] {
  switch (event.type) {
    case 'greeting':
      return [session.chooseMethod(manner.prefers.find((method) => event.methods.includes(method)))];
    case 'password':
      return [session.answerPassword(manner.acceptsPassword)];
    case 'request': {
      const first = session.reply(manner.reply, { host: '192.0.2.9', port: 1 });
      if (event.command !== Command.bind || manner.reply !== Reply.succeeded) return [first];
      return [first, session.reply(manner.reply, { host: '2001:db8::1', port: 2 })];
    }
    case 'foreign':
      return [];
    default:
      return event satisfies never;
  }
}

/** How many bytes had come when the last event was told, byte by byte. */
function eaten(stream: Uint8Array, manner: Manner): number {
  const session = new ServerSession({ protocols: manner.protocols });
  let count = 0;
  for (let at = 0; at < stream.length; at++) {
    session.receive(stream.slice(at, at + 1));
    try {
      for (let event = session.next(); event !== undefined; event = session.next()) {
        answer(session, event, manner);
        count = at + 1;
      }
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      return at + 1;
    }
  }
  return count;
}

/** The last word is one that a client of this protocol can read as a refusal. */
function checkFarewell({ farewell, error, events }: Play): void {
  if (farewell === undefined) return;
  const foreign = events.some(({ type }) => type === 'foreign');
  const text = Buffer.from(farewell).toString('latin1');
  if (foreign) keeps('HTTP is told in HTTP', text.startsWith('HTTP/1.1 400 '));
  else {
    keeps('a farewell comes with an error', error !== undefined);
    const decoders = [decodeMethod, decodePasswordStatus, decodeSocks4Reply, decodeSocks5Reply];
    const isWhole = decoders.some((decode) => {
      try {
        return decode(farewell)?.size === farewell.length;
      } catch (thrown) {
        if (thrown instanceof WireError) return false;
        throw thrown;
      }
    });
    keeps('a farewell is one message', isWhole, () => Buffer.from(farewell).toString('hex'));
  }
}
