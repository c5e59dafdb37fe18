/** The dearest input of each parser. `node test/fuzz/costs.ts` prints what each costs. */
import { Inbox } from '../../src/session/inbox.ts';
import { ClientSession } from '../../src/session/client.ts';
import { ServerSession } from '../../src/session/server.ts';
import { AddressType } from '../../src/wire/address.ts';
import { decodeProxyHeader } from '../../src/wire/proxy-header.ts';
import { Command } from '../../src/wire/socks5.ts';

export interface Cost {
  readonly name: string;
  /** The size of the largest input that is read. */
  readonly most: number;
  /** Makes an input of about this size; the returned function reads it. */
  readonly prepare: (size: number) => () => void;
}

export const costs: readonly Cost[] = [
  inPieces('HTTP request, lines', 16_384, 'CONNECT a:1 HTTP/1.1\r\n', 'a:\r\n'),
  inPieces('HTTP request, one line', 16_384, 'CONNECT ', 'a'),
  inPieces('HTTP request for proxy.pac', 16_384, 'GET / HTTP/1.1\r\n', 'a:\r\n'),
  {
    name: 'HTTP reply, interim ones before it',
    most: 16_384,
    prepare(size) {
      const pieces = piecesOf('HTTP/1.1 100\r\n\r\n'.repeat(size / 16));
      return () => {
        const destination = { type: AddressType.name, host: 'a', port: 1 };
        const session = new ClientSession({ protocol: 'http', command: Command.connect, destination });
        session.start();
        feed(session, pieces);
      };
    },
  },
  {
    name: 'PROXY header',
    most: 65_535,
    prepare(size) {
      const head = Buffer.from('0d0a0d0a000d0a515549540a21110000', 'hex');
      head.writeUInt16BE(size, 14);
      const pieces = piecesOf(head.toString('latin1') + 'a'.repeat(size));
      return () => {
        const inbox = new Inbox();
        for (const piece of pieces) {
          inbox.add(piece);
          inbox.take(decodeProxyHeader);
        }
      };
    },
  },
];

/** A client that sends a head byte by byte, which does not end. */
function inPieces(name: string, most: number, start: string, more: string): Cost {
  return {
    name,
    most,
    prepare(size) {
      const pieces = piecesOf(start + more.repeat((size - start.length) / more.length));
      return () => {
        const session = new ServerSession({ protocols: ['http'], answerHttp: () => undefined });
        feed(session, pieces);
      };
    },
  };
}

function piecesOf(text: string): readonly Uint8Array[] {
  return Array.from(Buffer.from(text, 'latin1'), (byte) => Uint8Array.of(byte));
}

function feed(
  session: Pick<ServerSession | ClientSession, 'receive' | 'next'>,
  pieces: readonly Uint8Array[],
): void {
  for (const piece of pieces) {
    session.receive(piece);
    session.next();
  }
}

/** Milliseconds of the processor: the least of several runs, since others want it too. */
export function millisecondsOf(run: () => void): number {
  const times = Array.from({ length: 5 }, () => {
    const { user, system } = process.cpuUsage();
    run();
    const used = process.cpuUsage({ user, system });
    return (used.user + used.system) / 1000;
  });
  return Math.min(...times);
}

if (import.meta.main)
  for (const { name, most, prepare } of costs)
    console.log(`${name}: ${millisecondsOf(prepare(most)).toFixed(2)} ms for ${most}`);
