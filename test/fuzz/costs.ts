/** The most expensive input of each parser. `node test/fuzz/costs.ts` prints their costs. */
import { decodeReply, encodeQuery } from '../../src/resolve/message.ts';
import { Inbox } from '../../src/wire/inbox.ts';
import { ClientHandshake } from '../../src/handshake/client.ts';
import { Reassembly } from '../../src/wire/reassembly.ts';
import { ServerHandshake } from '../../src/handshake/server.ts';
import { AddressType } from '../../src/wire/address.ts';
import { decodeHttpRequest } from '../../src/wire/http.ts';
import { decodeProxyHeader } from '../../src/wire/proxy-header.ts';
import { Command, Method } from '../../src/wire/socks5.ts';
import { decodeUdpHeader, LAST_FRAGMENT } from '../../src/wire/udp.ts';

export interface Cost {
  readonly name: string;
  /** The size of the largest input that is accepted. */
  readonly most: number;
  /** Makes an input of about this size; the returned function parses it. */
  readonly prepare: (size: number) => () => void;
}

export const costs: readonly Cost[] = [
  inPieces('HTTP request, lines', 16_384, 'CONNECT a:1 HTTP/1.1\r\n', 'a:\r\n'),
  inPieces('HTTP request, one line', 16_384, 'CONNECT ', 'a'),
  inPieces('HTTP request for proxy.pac', 16_384, 'GET / HTTP/1.1\r\n', 'a:\r\n'),
  whole(
    'HTTP request, a field of blanks',
    (size) => `CONNECT a:1 HTTP/1.1\r\nX:${' '.repeat(size)}\n\r\n\r\n`,
  ),
  whole('HTTP request, blanks inside a field', (size) => {
    return `CONNECT a:1 HTTP/1.1\r\nX:${' '.repeat(size / 2)}y${' '.repeat(size / 2)}\r\n\r\n`;
  }),
  whole('HTTP request, empty lines', (size) => '\r'.repeat(size)),
  {
    name: 'HTTP reply, interim ones before it',
    most: 16_384,
    prepare(size) {
      const pieces = piecesOf('HTTP/1.1 100\r\n\r\n'.repeat(size / 16));
      return () => {
        const destination = { type: AddressType.name, host: 'a', port: 1 };
        const handshake = new ClientHandshake({ protocol: 'http', command: Command.connect, destination });
        handshake.start();
        feed(handshake, pieces);
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
  {
    name: 'SOCKS4A request',
    most: 510,
    prepare: (size) => {
      const pieces = piecesOf(`\x04\x01\0P\0\0\0\x01${'u'.repeat(size / 2)}\0${'n'.repeat(size / 2)}`);
      return () => feed(new ServerHandshake(), pieces);
    },
  },
  {
    name: 'SOCKS5 greeting, password and request',
    most: 255,
    prepare: (size) => {
      const text = `${String.fromCharCode(size)}${'a'.repeat(size)}`;
      const methods = piecesOf(`\x05${String.fromCharCode(size)}${'\x02'.repeat(size)}`);
      const password = piecesOf(`\x01${text}${text}`);
      const request = piecesOf(`\x05\x01\0\x03${text}\0P`);
      return () => {
        const handshake = new ServerHandshake();
        feed(handshake, methods);
        handshake.chooseMethod(Method.password);
        feed(handshake, password);
        handshake.accept();
        feed(handshake, request);
      };
    },
  },
  {
    name: 'header of a datagram',
    most: 255,
    prepare: (size) => {
      const bytes = Buffer.from(`\0\0\0\x03${String.fromCharCode(size)}${'a'.repeat(size)}\0P`, 'latin1');
      return () => void decodeUdpHeader(bytes, 0, bytes.length);
    },
  },
  {
    name: 'fragments of a datagram',
    most: 126,
    prepare: (count) => {
      const data = new Uint8Array(65_507 / 127);
      return () => {
        const reassembly = new Reassembly();
        for (let i = 1; i <= count; i++) reassembly.add(i, 'a:1', data, 0);
        reassembly.add((count + 1) | LAST_FRAGMENT, 'a:1', data, 0);
      };
    },
  },
  {
    name: 'DNS answer, chains of pointers',
    most: 35_000,
    prepare: (size) =>
      answerOf(size, (start, bytes) => {
        const chain = Math.min(16_000, size / 2);
        let at = record(bytes, start, 12, 0xff00, chain);
        for (let i = 0; i < chain; i += 2) bytes.writeUInt16BE(0xc000 | (i === 0 ? 12 : at + i - 2), at + i);
        const last = at + chain - 2;
        for (at += chain; at + 16 < size; at += 2) {
          at = record(bytes, at, last, 12, 2);
          bytes.writeUInt16BE(0xc000 | last, at);
        }
      }),
  },
  {
    name: 'DNS answer, names of many labels',
    most: 65_535,
    prepare: (size) =>
      answerOf(size, (start, bytes) => {
        for (let at = start; at + 135 < size; at += 123) {
          at = record(bytes, at, 12, 12, 123);
          for (let i = 0; i < 122; i += 2) bytes.writeUInt16BE(0x0161, at + i);
        }
      }),
  },
];

/** An answer of this many bytes from a name server, and its question. */
function answerOf(size: number, data: (at: number, bytes: Buffer) => void): () => void {
  const query = encodeQuery(1, 'a', 'PTR', true);
  const bytes = Buffer.alloc(size);
  query.bytes.copy(bytes, 0, 0, query.bytes.length - 11);
  bytes.writeUInt16BE(0x8180, 2);
  bytes.writeUInt16BE(0xffff, 6);
  bytes.writeUInt16BE(0, 10);
  data(query.bytes.length - 11, bytes);
  return () => void decodeReply(Buffer.from(bytes), query);
}

/** Writes the head of a record at `at`, and returns the position of its data. */
function record(bytes: Buffer, at: number, owner: number, type: number, size: number): number {
  bytes.writeUInt16BE(0xc000 | owner, at);
  bytes.writeUInt16BE(type, at + 2);
  bytes.writeUInt16BE(1, at + 4);
  bytes.writeUInt16BE(size, at + 10);
  return at + 12;
}

/** A head that arrives in one piece, and may be refused. */
function whole(name: string, textOf: (size: number) => string): Cost {
  return {
    name,
    most: 16_000,
    prepare(size) {
      const bytes = Buffer.from(textOf(size), 'latin1');
      return () => {
        try {
          decodeHttpRequest(bytes);
        } catch {
          // Not a valid request; only its cost matters.
        }
      };
    },
  };
}

/** A client that sends an endless head byte by byte. */
function inPieces(name: string, most: number, start: string, more: string): Cost {
  return {
    name,
    most,
    prepare(size) {
      const pieces = piecesOf(start + more.repeat((size - start.length) / more.length));
      return () => {
        const handshake = new ServerHandshake({ protocols: ['http'], answerHttp: () => undefined });
        feed(handshake, pieces);
      };
    },
  };
}

function piecesOf(text: string): readonly Uint8Array[] {
  return Array.from(Buffer.from(text, 'latin1'), (byte) => Uint8Array.of(byte));
}

function feed(
  handshake: Pick<ServerHandshake | ClientHandshake, 'receive' | 'next'>,
  pieces: readonly Uint8Array[],
): void {
  for (const piece of pieces) {
    handshake.receive(piece);
    handshake.next();
  }
}

/** Milliseconds of CPU time: the minimum of several runs, as other programs compete for the CPU. */
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
    console.log(`${name}: ${millisecondsOf(prepare(most)).toFixed(3)} ms for ${most}`);
