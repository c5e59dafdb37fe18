import { ClientHandshake } from '../../../src/handshake/client.ts';
import type { ClientEvent, ClientHandshakeOptions } from '../../../src/handshake/protocol.ts';
import { addressOf } from '../../../src/wire/address.ts';
import { WireError } from '../../../src/wire/error.ts';
import { Command } from '../../../src/wire/socks5.ts';
import { cut, pieces } from '../chunks.ts';
import { Draw } from '../draw.ts';
import { hex, keeps, same, utf8 } from '../target.ts';
import type { Target } from '../target.ts';

/** The longest SOCKS message: a SOCKS5 reply with a name of 255 bytes. */
const LONGEST_MESSAGE = 4 + 256 + 2;

interface Play {
  readonly events: readonly ClientEvent[];
  readonly state: string;
  readonly error: string | undefined;
  readonly trailing: Buffer | undefined;
  /** Bytes received before the last event. */
  readonly eaten: number;
}

export const targets: readonly Target[] = [
  {
    name: 'handshake-client',
    testRuns: 10_000,
    seeds: [
      '00 00 00 00 0500 05000001c0000207d431 5353482d',
      '00 01 01 02 0307 0502 0100 05000001c00002079c40 05000001c00002010014 32',
      '01 01 00 00 005a9c40c0000207 005b000000000000',
      '02 00 00 01 02 005a0000 00000000 5353482d',
      '00 00 00 00 0500 05050003 0161 0000',
      '03 00 00 00 485454502f312e3120323030204f4b0d0a0d0a 5353482d',
      '03 00 01 00 485454502f312e3120343037204e6f0d0a0d0a',
    ].map(hex),
    tokens: ['\x05\0', '\x05\x02', '\x01\0', '\x05\0\0\x01', '\x05\0\0\x03', '\0\x5a'].map(utf8),
    run(input) {
      const draw = new Draw(input);
      const protocol = draw.pick(['socks5', 'socks4', 'socks4a', 'http'] as const);
      const command = draw.pick([Command.connect, Command.bind, Command.udpAssociate, Command.resolve]);
      const hasPassword = draw.chance();
      const options: ClientHandshakeOptions = {
        protocol,
        command: protocol === 'http' ? Command.connect : command,
        destination: addressOf(protocol === 'socks4' ? '192.0.2.1' : 'example.com', 80),
        ...(hasPassword && { credentials: { username: 'alice', password: 'secret' } }),
      };
      const cuts = draw.bytes(draw.below(8));
      const stream = draw.bytes(1500);

      const single = play(pieces(stream, 1), options);
      const { eaten, ...result } = single;
      for (const chunks of [[stream], cut(stream, cuts)]) {
        const { eaten: _, ...other } = play(chunks, options);
        same('the pieces make no difference', other, result);
      }
      if (result.state === 'done')
        same('what was not eaten comes back', result.trailing, Buffer.from(stream.subarray(eaten)));
      const isWaiting = !['done', 'closed'].includes(result.state) && protocol !== 'http';
      keeps('no more is kept than a message', !isWaiting || stream.length - eaten <= LONGEST_MESSAGE);
      const [first] = result.events;
      if (protocol === 'socks5' && first?.type === 'send') {
        const method = stream[1];
        keeps('a method that was not offered is not used', method === 0 || (method === 2 && hasPassword));
        same('the password is sent when it is asked for', first.bytes[0], method === 2 ? 1 : 5);
      }
      const kinds = result.events.map((event) =>
        event.type === 'reply' ? `${event.ok}` : event.type === 'refused' ? event.phase : event.type,
      );
      return `${protocol} ${kinds.join(' ')} ${result.state} ${result.error}`;
    },
  },
];

function play(chunks: readonly Uint8Array[], options: ClientHandshakeOptions): Play {
  const handshake = new ClientHandshake(options);
  handshake.start();
  const events: ClientEvent[] = [];
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
      }
    } catch (thrown) {
      if (!(thrown instanceof WireError)) throw thrown;
      keeps('there is one error', error === undefined);
      error = thrown.code;
      keeps('an error closes the handshake', handshake.state === 'closed');
    }
  }
  const { state } = handshake;
  const trailing = state === 'done' ? Buffer.from(handshake.trailing()) : undefined;
  if (state === 'closed') same('a closed handshake keeps nothing', handshake.trailing().length, 0);
  return { events, state, error, trailing, eaten };
}
