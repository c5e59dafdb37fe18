import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { inspect } from 'node:util';
import { addressOf, AddressType } from '../wire/address.ts';
import { WireError } from '../wire/error.ts';
import { Command } from '../wire/socks5.ts';
import { ClientHandshake } from './client.ts';
import type { ClientHandshakeOptions } from './protocol.ts';

/** `> hex` is what the client writes, `< hex` what its server answers, `= text` what it comes to. */
interface Transcript {
  readonly name: string;
  readonly options: ClientHandshakeOptions;
  readonly lines: readonly string[];
}

const connect: ClientHandshakeOptions = {
  protocol: 'socks5',
  command: Command.connect,
  destination: addressOf('example.com', 80),
};
const withPassword = { ...connect, credentials: { username: 'alice', password: 'secret' } };
const bind: ClientHandshakeOptions = {
  ...connect,
  command: Command.bind,
  destination: addressOf('192.0.2.1', 21),
};

const http = (...lines: readonly string[]): string =>
  Buffer.from(`${lines.join('\r\n')}\r\n\r\n`).toString('hex');

const request = '> 05 01 00 03 0b 6578616d706c652e636f6d 0050';
const toRequest = ['> 05 01 00', '< 05 00', request];
const toStatus = ['> 05 02 00 02', '< 05 02', '> 01 05 616c696365 06 736563726574'];

const transcripts: readonly Transcript[] = [
  {
    name: 'CONNECT, with bytes glued to the reply',
    options: connect,
    lines: [
      ...toRequest,
      '< 05 00 00 01 c0000207 d431 5353482d',
      '= ok 0 192.0.2.7:54321',
      '= done 5353482d',
    ],
  },
  {
    name: 'CONNECT refused',
    options: connect,
    lines: [...toRequest, '< 05 05 00 01 00000000 0000 ff', '= no 5 0.0.0.0:0', '= closed'],
  },
  {
    name: 'CONNECT refused with a code that nobody knows',
    options: connect,
    lines: [...toRequest, '< 05 f4 00 01 00000000 0000', '= no 244 0.0.0.0:0', '= closed'],
  },
  {
    name: 'half a reply',
    options: connect,
    lines: [...toRequest, '< 05 00 00 01 c000', '= reply'],
  },
  {
    name: 'a password, and a name as bound address',
    options: withPassword,
    lines: [...toStatus, '< 01 00', request, '< 05 00 00 03 01 61 0001', '= ok 0 a:1', '= done'],
  },
  {
    name: 'a password status of version 5',
    options: withPassword,
    lines: [...toStatus, '< 05 00', request, '= reply'],
  },
  {
    name: 'a wrong password',
    options: withPassword,
    lines: [...toStatus, '< 01 01', '= refused password', '= closed'],
  },
  {
    name: 'a server that wants no password',
    options: withPassword,
    lines: ['> 05 02 00 02', '< 05 00', request, '= reply'],
  },
  {
    name: 'no method',
    options: connect,
    lines: ['> 05 01 00', '< 05 ff 00', '= refused method', '= closed'],
  },
  {
    name: 'a method that was not offered',
    options: connect,
    lines: ['> 05 01 00', '< 05 02', '= ERR_SOCKS_METHOD_NOT_OFFERED', '= closed'],
  },
  {
    name: 'a server of HTTP',
    options: connect,
    lines: ['> 05 01 00', '< 485454502f312e31', '= ERR_SOCKS_VERSION', '= closed'],
  },
  {
    name: 'success with ATYP 0',
    options: connect,
    lines: [...toRequest, '< 05 00 00 00', '= ERR_SOCKS_ADDRESS_TYPE', '= closed'],
  },
  ...[
    '05 05',
    '05 05 00',
    '05 05 00 00',
    '05 05 00 03 00 0000',
    '05 05 00 03 02 c328 0000',
    '05 05 00 09',
  ].map((hex) => ({
    name: `a refusal of ${hex}`,
    options: connect,
    lines: [...toRequest, `< ${hex}`, '= no 5 0.0.0.0:0', '= closed'],
  })),
  {
    name: 'BIND, with both replies and the first byte in one piece',
    options: bind,
    lines: [
      '> 05 01 00',
      '< 05 00',
      '> 05 02 00 01 c0000201 0015',
      '< 05 00 00 01 c0000207 9c40 05 00 00 01 c0000201 0014 32',
      '= ok 0 192.0.2.7:40000',
      '= ok 0 192.0.2.1:20',
      '= done 32',
    ],
  },
  {
    name: 'BIND that waits',
    options: bind,
    lines: [
      '> 05 01 00',
      '< 05 00',
      '> 05 02 00 01 c0000201 0015',
      '< 05 00 00 01 c0000207 9c40',
      '= ok 0 192.0.2.7:40000',
      '= bind',
    ],
  },
  {
    name: 'BIND refused at once',
    options: bind,
    lines: [
      '> 05 01 00',
      '< 05 00',
      '> 05 02 00 01 c0000201 0015',
      '< 05 02 00 01 00000000 0000',
      '= no 2 0.0.0.0:0',
      '= closed',
    ],
  },
  {
    name: 'SOCKS4',
    options: { ...bind, protocol: 'socks4', userId: 'joe' },
    lines: [
      '> 04 02 0015 c0000201 6a6f65 00',
      '< 00 5a 9c40 c0000207',
      '< 00 5b 0000 00000000',
      '= ok 90 192.0.2.7:40000',
      '= no 91 0.0.0.0:0',
      '= closed',
    ],
  },
  {
    name: 'SOCKS4A',
    options: { ...connect, protocol: 'socks4a' },
    lines: [
      '> 04 01 0050 00000001 00 6578616d706c652e636f6d 00',
      '< 00 5a 0000 00000000 5353482d',
      '= ok 90 0.0.0.0:0',
      '= done 5353482d',
    ],
  },
  {
    name: 'a SOCKS4 reply of version 4',
    options: { ...connect, protocol: 'socks4a' },
    lines: [
      '> 04 01 0050 00000001 00 6578616d706c652e636f6d 00',
      '< 04 5a 0000 00000000 5353482d',
      '= ok 90 0.0.0.0:0',
      '= done 5353482d',
    ],
  },
  {
    name: 'a SOCKS4 reply of version 5',
    options: { ...connect, protocol: 'socks4a' },
    lines: [
      '> 04 01 0050 00000001 00 6578616d706c652e636f6d 00',
      '< 05 00',
      '= ERR_SOCKS_VERSION',
      '= closed',
    ],
  },
  ...['00 5b', '04 5c 00'].map((hex) => ({
    name: `a SOCKS4 refusal of ${hex}`,
    options: { ...connect, protocol: 'socks4a' } as const,
    lines: [
      '> 04 01 0050 00000001 00 6578616d706c652e636f6d 00',
      `< ${hex}`,
      `= no ${parseInt(hex.slice(3, 5), 16)} 0.0.0.0:0`,
      '= closed',
    ],
  })),
  {
    name: 'HTTP, with bytes glued to the answer',
    options: { ...connect, protocol: 'http' },
    lines: [
      `> ${http('CONNECT example.com:80 HTTP/1.1', 'Host: example.com:80')}`,
      `< ${http('HTTP/1.1 200 OK')} 5353482d`,
      '= ok 200 0.0.0.0:0',
      '= done 5353482d',
    ],
  },
  {
    name: 'HTTP refused',
    options: { ...connect, protocol: 'http' },
    lines: [
      `> ${http('CONNECT example.com:80 HTTP/1.1', 'Host: example.com:80')}`,
      `< ${http('HTTP/1.1 403 Forbidden', 'Content-Length: 2')} 6e6f`,
      '= no 403 0.0.0.0:0',
      '= closed',
    ],
  },
  {
    name: 'HTTP refused with fields that are none',
    options: { ...connect, protocol: 'http' },
    lines: [
      `> ${http('CONNECT example.com:80 HTTP/1.1', 'Host: example.com:80')}`,
      `< ${http('HTTP/1.1 504 Late', 'and so on')}`,
      '= no 504 0.0.0.0:0',
      '= closed',
    ],
  },
  {
    name: 'HTTP with a wrong password',
    options: { ...withPassword, protocol: 'http' },
    lines: [
      `> ${http('CONNECT example.com:80 HTTP/1.1', 'Host: example.com:80', 'Proxy-Authorization: Basic YWxpY2U6c2VjcmV0')}`,
      `< ${http('HTTP/1.1 407 No', 'Proxy-Authenticate: Basic')}`,
      '= refused password',
      '= closed',
    ],
  },
  {
    name: 'HTTP that wants a password',
    options: { ...connect, protocol: 'http' },
    lines: [
      `> ${http('CONNECT example.com:80 HTTP/1.1', 'Host: example.com:80')}`,
      `< ${http('HTTP/1.1 407 No', 'Proxy-Authenticate: Basic')}`,
      '= refused method',
      '= closed',
    ],
  },
  {
    name: 'a server of SSH where HTTP is due',
    options: { ...connect, protocol: 'http' },
    lines: [
      `> ${http('CONNECT example.com:80 HTTP/1.1', 'Host: example.com:80')}`,
      `< ${http('SSH-2.0-OpenSSH_9.2')}`,
      '= ERR_HTTP_HEAD',
      '= closed',
    ],
  },
];

/** Feeds the server's chunks and gives what the client wrote, and what it came to. */
function play(
  options: ClientHandshakeOptions,
  chunks: readonly Uint8Array[],
): { written: string; outcome: string[] } {
  const handshake = new ClientHandshake(options);
  const written = [handshake.start()];
  const outcome: string[] = [];
  for (const chunk of chunks) {
    handshake.receive(chunk);
    try {
      for (let event = handshake.next(); event !== undefined; event = handshake.next()) {
        if (event.type === 'send') written.push(event.bytes);
        else if (event.type === 'refused') outcome.push(`= refused ${event.phase}`);
        else
          outcome.push(`= ${event.ok ? 'ok' : 'no'} ${event.code} ${event.bound.host}:${event.bound.port}`);
      }
    } catch (error) {
      assert.ok(error instanceof WireError, String(error));
      outcome.push(`= ${error.code}`);
    }
  }
  const trailing = handshake.state === 'done' ? ` ${Buffer.from(handshake.trailing()).toString('hex')}` : '';
  outcome.push(`= ${handshake.state}${trailing.trimEnd()}`);
  return { written: Buffer.concat(written).toString('hex'), outcome };
}

suite('transcripts of a client', () => {
  for (const { name, options, lines } of transcripts) {
    const marked = (mark: string): string[] => lines.filter((line) => line.startsWith(mark));
    const bytesOf = (mark: string): Buffer =>
      Buffer.from(marked(mark).join('').replaceAll(/[<> ]/g, ''), 'hex');
    const input = bytesOf('<');
    const expected = { written: bytesOf('>').toString('hex'), outcome: marked('=') };

    for (const size of [1, 2, 3, 512]) {
      test(`${name}, in chunks of ${size}`, () => {
        const count = Math.ceil(input.length / size);
        const chunks = Array.from({ length: count }, (_, i) => input.subarray(i * size, (i + 1) * size));
        assert.deepEqual(play(options, chunks), expected);
      });
    }
    test(`${name}, split everywhere`, () => {
      for (let at = 0; at <= input.length; at++) {
        assert.deepEqual(play(options, [input.subarray(0, at), input.subarray(at)]), expected, `at ${at}`);
      }
    });
  }
});

suite('what a client cannot send is a RangeError at once', () => {
  const rows: readonly (readonly [name: string, options: ClientHandshakeOptions])[] = [
    ['a name in SOCKS4', { ...connect, protocol: 'socks4' }],
    ['IPv6 in SOCKS4A', { ...connect, protocol: 'socks4a', destination: addressOf('::1', 80) }],
    ['BIND in HTTP', { ...bind, protocol: 'http' }],
    [
      'a name in HTTP that is not ASCII',
      { ...connect, protocol: 'http', destination: addressOf('ü.example', 80) },
    ],
    ['a user id of 256 bytes', { ...bind, protocol: 'socks4', userId: 'a'.repeat(256) }],
    [
      'a name of 128 letters of two bytes',
      { ...connect, destination: { type: AddressType.name, host: 'ü'.repeat(128), port: 80 } },
    ],
    ['an empty user name', { ...connect, credentials: { username: '', password: 'secret' } }],
    [
      'a user name of 256 bytes',
      { ...connect, credentials: { username: 'a'.repeat(256), password: 'secret' } },
    ],
  ];
  for (const [name, options] of rows) {
    test(name, () => {
      assert.throws(() => new ClientHandshake(options), RangeError);
    });
  }
});

test('the password is neither in an error nor in the handshake as Node prints them', () => {
  const password = 'secret'.repeat(50);
  assert.throws(
    () => new ClientHandshake({ ...connect, credentials: { username: 'alice', password } }),
    (error) => error instanceof RangeError && !inspect(error, { showHidden: true }).includes('secret'),
  );
  const handshake = new ClientHandshake(withPassword);
  handshake.start();
  handshake.receive(Uint8Array.of(5, 1));
  assert.throws(
    () => handshake.next(),
    (error) => error instanceof WireError && !inspect(error, { showHidden: true }).includes('secret'),
  );
  assert.doesNotMatch(inspect(handshake, { showHidden: true, depth: 9 }), /secret|73 65 63|115, 101/);
});

test('a call that is not due is an Error of the caller', () => {
  const handshake = new ClientHandshake(connect);
  assert.throws(() => handshake.trailing(), /state start/);
  handshake.start();
  assert.throws(() => handshake.start(), /state method/);
});

test('a closed handshake hears nothing more', () => {
  const handshake = new ClientHandshake(connect);
  handshake.start();
  handshake.receive(Uint8Array.of(5, 0xff));
  assert.deepEqual(handshake.next(), { type: 'refused', phase: 'method' });
  handshake.receive(Uint8Array.of(5, 0));
  assert.equal(handshake.next(), undefined);
  assert.equal(handshake.trailing().length, 0);
});

suite('what it comes to when an HTTP server closes before its empty line', () => {
  const rows: readonly (readonly [head: string, outcome: string | undefined])[] = [
    ['HTTP/1.1 403 Forbidden\r\n', 'no 403'],
    ['HTTP/1.1 504 Late\r\nContent-Length: 9\r\nX', 'no 504'],
    ['HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 No\r\n', 'no 503'],
    ['HTTP/1.1 407 No\r\n', 'refused method'],
    ['HTTP/1.1 403 Forbidden', 'no 403'],
    ['HTTP/1.1 403\n\n', 'no 403'],
    ['HTTP/1.1 407', 'refused method'],
    ['HTTP/1.1 40', undefined],
    ['HTTP/1.1 200 OK\r\n', undefined],
    ['HTTP/1.1 100 Continue\r\n', undefined],
    ['', undefined],
  ];
  for (const [head, outcome] of rows) {
    test(JSON.stringify(head), () => {
      const handshake = new ClientHandshake({ ...connect, protocol: 'http' });
      handshake.start();
      handshake.receive(Buffer.from(head));
      assert.equal(handshake.next(), undefined);
      const event = handshake.ended();
      const found =
        event?.type === 'reply'
          ? `${event.ok ? 'ok' : 'no'} ${event.code}`
          : event && `${event.type} ${event.phase}`;
      assert.equal(found, outcome);
      assert.equal(handshake.state, 'closed');
    });
  }
});
