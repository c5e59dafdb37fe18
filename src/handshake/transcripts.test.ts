import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { WireError } from '../wire/error.ts';
import type { Credentials } from '../wire/password.ts';
import { Reply } from '../wire/socks5.ts';
import type { ServerEvent, ServerProtocol } from './protocol.ts';
import { ServerHandshake } from './server.ts';

/**
 * `> hex` is the client, `< hex` what a server answers that takes passwords before none, knows alice:pw, and says what a
 * transcript's request is to get; `! CODE` is a broken protocol, after which nothing may come.
 */
interface Transcript {
  readonly name: string;
  readonly lines: readonly string[];
  /** Replies to the request, one or two. @default succeeded, bound to 192.0.2.9:4000 */
  readonly replies?: readonly (0 | 1 | 2 | 5 | 7)[];
  readonly trailing?: string;
  readonly protocols?: readonly ServerProtocol[];
}

const text = (of: string): string => Buffer.from(of).toString('hex');
const greeting = ['> 05 01 00', '< 05 00'];
const bound = '01 c0 00 02 09 0f a0';
const connect = '05 01 00 01 c0 00 02 01 00 50';

const http = (...lines: readonly string[]): string => text(`${lines.join('\r\n')}\r\n\r\n`);
const httpConnect = 'CONNECT example.com:443 HTTP/1.1';
const established = http('HTTP/1.1 200 Connection established');
const challenge = http(
  'HTTP/1.1 407 Proxy Authentication Required',
  'Proxy-Authenticate: Basic realm="garter", charset="UTF-8"',
  'Content-Length: 0',
  'Connection: close',
);
const withHttp = ['socks5', 'socks4', 'http'] as const;

const transcripts: readonly Transcript[] = [
  { name: 'CONNECT', lines: [...greeting, `> ${connect}`, `< 05 00 00 ${bound}`] },
  {
    name: 'CONNECT refused by a rule',
    lines: [...greeting, `> ${connect}`, '< 05 02 00 01 00 00 00 00 00 00'],
    replies: [2],
  },
  {
    name: 'early data',
    lines: [...greeting, `> ${connect} ${text('GET /')}`, `< 05 00 00 ${bound}`],
    trailing: text('GET /'),
  },
  {
    name: 'a password',
    lines: [
      '> 05 02 00 02',
      '< 05 02',
      `> 01 05 ${text('alice')} 02 ${text('pw')}`,
      '< 01 00',
      `> ${connect}`,
      `< 05 00 00 ${bound}`,
    ],
  },
  {
    name: 'a wrong password',
    lines: ['> 05 01 02', '< 05 02', `> 01 05 ${text('alice')} 02 ${text('no')}`, '< 01 01'],
  },
  { name: 'no acceptable method', lines: ['> 05 02 01 80', '< 05 ff'] },
  {
    name: 'BIND',
    lines: [...greeting, '> 05 02 00 01 c0 00 02 01 00 50', `< 05 00 00 ${bound}`, `< 05 00 00 ${bound}`],
    replies: [0, 0],
  },
  {
    name: 'BIND whose peer does not come',
    lines: [
      ...greeting,
      '> 05 02 00 01 c0 00 02 01 00 50',
      `< 05 00 00 ${bound}`,
      '< 05 01 00 01 00 00 00 00 00 00',
    ],
    replies: [0, 1],
  },
  { name: 'UDP ASSOCIATE', lines: [...greeting, '> 05 03 00 01 00 00 00 00 00 00', `< 05 00 00 ${bound}`] },
  { name: 'RESOLVE', lines: [...greeting, `> 05 f0 00 03 01 61 00 00`, `< 05 00 00 ${bound}`] },
  { name: 'RESOLVE_PTR', lines: [...greeting, '> 05 f1 00 01 c0 00 02 01 00 00', `< 05 00 00 ${bound}`] },
  {
    name: 'an unknown command',
    lines: [...greeting, '> 05 09 00 01 c0 00 02 01 00 50', '< 05 07 00 01 00 00 00 00 00 00'],
    replies: [7],
  },
  { name: 'SOCKS4', lines: ['> 04 01 00 50 c0 00 02 01 00', '< 00 5a 0f a0 c0 00 02 09'] },
  {
    name: 'SOCKS4 refused',
    lines: ['> 04 01 00 50 c0 00 02 01 00', '< 00 5b 00 00 00 00 00 00'],
    replies: [5],
  },
  {
    name: 'SOCKS4A with early data',
    lines: [
      `> 04 01 00 50 00 00 00 01 ${text('joe')} 00 ${text('example.com')} 00 ff`,
      '< 00 5a 0f a0 c0 00 02 09',
    ],
    trailing: 'ff',
  },
  {
    name: 'SOCKS4 BIND',
    lines: ['> 04 02 00 50 c0 00 02 01 00', '< 00 5a 0f a0 c0 00 02 09', '< 00 5b 00 00 00 00 00 00'],
    replies: [0, 1],
  },

  {
    name: 'HTTP',
    lines: [`> ${http(httpConnect, 'Host: a')}`, `< ${established}`],
    protocols: withHttp,
  },
  {
    name: 'HTTP with early data',
    lines: [`> ${http(httpConnect)} 160301`, `< ${established}`],
    trailing: '160301',
    protocols: withHttp,
  },
  {
    name: 'HTTP with a password',
    lines: [`> ${http(httpConnect, 'Proxy-Authorization: Basic YWxpY2U6cHc=')}`, `< ${established}`],
    protocols: withHttp,
  },
  {
    name: 'HTTP with a wrong password',
    lines: [`> ${http(httpConnect, 'Proxy-Authorization: Basic YWxpY2U6bm8=')}`, `< ${challenge}`],
    protocols: withHttp,
  },
  {
    name: 'HTTP refused',
    lines: [
      `> ${http(httpConnect)}`,
      `< ${http('HTTP/1.1 502 Bad Gateway', 'Proxy-Status: garter; error=connection_refused', 'Content-Length: 0', 'Connection: close')}`,
    ],
    replies: [5],
    protocols: withHttp,
  },
  {
    name: 'HTTP without a port',
    lines: [
      `> ${http('CONNECT example.com HTTP/1.1')}`,
      '! ERR_HTTP_HEAD',
      `< ${http('HTTP/1.1 400 Bad Request', 'Content-Length: 0', 'Connection: close')}`,
    ],
    protocols: withHttp,
  },

  { name: 'a greeting without methods', lines: ['> 05 00', '! ERR_SOCKS_NO_METHODS', '< 05 ff'] },
  {
    name: 'a password of another version',
    lines: ['> 05 01 02', '< 05 02', '> 05 05', '! ERR_SOCKS_PASSWORD_VERSION', '< 01 01'],
  },
  {
    name: 'a password that nobody asked for',
    lines: [...greeting, '> 01 01 61 01 61', '! ERR_SOCKS_VERSION', '< 05 01 00 01 00 00 00 00 00 00'],
  },
  {
    name: 'a request with ATYP 2',
    lines: [...greeting, '> 05 01 00 02', '! ERR_SOCKS_ADDRESS_TYPE', '< 05 08 00 01 00 00 00 00 00 00'],
  },
  {
    name: 'a user id without end',
    lines: [
      `> 04 01 00 50 c0 00 02 01 ${'61'.repeat(256)}`,
      '! ERR_SOCKS_USER_ID',
      '< 00 5b 00 00 00 00 00 00',
    ],
  },
  {
    name: 'SOCKS4 where it is switched off',
    lines: ['> 04 01 00 50 c0 00 02 01 00', '! ERR_SOCKS_VERSION', '< 00 5b 00 00 00 00 00 00'],
    protocols: ['socks5'],
  },
  {
    name: 'SOCKS5 where it is switched off',
    lines: ['> 05 01 00', '! ERR_SOCKS_VERSION', '< 05 ff'],
    protocols: ['socks4'],
  },
];

/** Feeds the client's bytes in chunks and gives everything that happened, in order. */
function play(
  { lines, replies = [0], protocols }: Transcript,
  size: number,
): { log: string[]; handshake: ServerHandshake } {
  const handshake = new ServerHandshake(protocols === undefined ? {} : { protocols });
  const sent = Buffer.from(
    lines
      .filter((line) => line.startsWith('>'))
      .join('')
      .replaceAll(/[> ]/g, ''),
    'hex',
  );
  const log: string[] = [];
  const answer = (bytes: Uint8Array): void => void log.push(`< ${Buffer.from(bytes).toString('hex')}`);
  for (let at = 0; at < sent.length; at += size) {
    handshake.receive(Uint8Array.from(sent.subarray(at, at + size)));
    try {
      for (let event = handshake.next(); event !== undefined; event = handshake.next())
        respond(handshake, event, replies).forEach(answer);
    } catch (error) {
      assert.ok(error instanceof WireError, String(error));
      log.push(`! ${error.code}`);
      const refusal = handshake.refuse();
      if (refusal !== undefined) answer(refusal);
    }
  }
  return { log, handshake };
}

function respond(
  handshake: ServerHandshake,
  event: ServerEvent,
  replies: readonly (0 | 1 | 2 | 5 | 7)[],
): Uint8Array[] {
  switch (event.type) {
    case 'greeting': {
      const method = ([2, 0] as const).find((one) => event.methods.includes(one));
      return present(
        method === undefined ? handshake.refuse(Reply.notAllowed) : handshake.chooseMethod(method),
      );
    }
    case 'password':
      return judge(handshake, event);
    case 'request':
      return [
        ...(event.protocol === 'socks5' ? [] : judge(handshake, event.credentials)),
        ...(handshake.state === 'reply' ? answerRequest(handshake, replies) : []),
      ];
    case 'foreign':
      return present(handshake.refuse());
    default:
      return event satisfies never;
  }
}

function judge(
  handshake: ServerHandshake,
  shown: Credentials = { username: 'alice', password: 'pw' },
): Uint8Array[] {
  const isKnown = shown.username === 'alice' && shown.password === 'pw';
  return present(isKnown ? handshake.accept() : handshake.refuse(Reply.notAllowed));
}

function answerRequest(handshake: ServerHandshake, replies: readonly (0 | 1 | 2 | 5 | 7)[]): Uint8Array[] {
  return replies.map((code) =>
    handshake.reply(code, code === 0 ? { host: '192.0.2.9', port: 4000 } : undefined),
  );
}

function present(bytes: Uint8Array | undefined): Uint8Array[] {
  return bytes === undefined ? [] : [bytes];
}

suite('transcripts', () => {
  for (const transcript of transcripts) {
    for (const size of [1, 2, 3, 512, Infinity]) {
      test(`${transcript.name}, in chunks of ${size}`, () => {
        const { log, handshake } = play(transcript, size);
        assert.deepEqual(
          log,
          transcript.lines
            .filter((line) => !line.startsWith('>'))
            .map((line) => (line.startsWith('<') ? `< ${line.replaceAll(/[< ]/g, '')}` : line)),
        );
        assert.equal(Buffer.from(handshake.trailing()).toString('hex'), transcript.trailing ?? '');
        assert.ok(['done', 'closed'].includes(handshake.state), handshake.state);
        assert.equal(handshake.next(), undefined);
        assert.equal(handshake.refuse(), undefined);
        assert.throws(() => handshake.reply(0), Error, 'no reply after the end');
        assert.throws(() => handshake.chooseMethod(0), Error);
        assert.throws(() => handshake.accept(), Error);
      });
    }
  }
});

suite('what is no SOCKS', () => {
  const rows: readonly (readonly [name: string, hex: string, kind: string])[] = [
    ['GET', text('GET / HTTP/1.1\r\nHost: a\r\n\r\n'), 'http'],
    ['CONNECT', text('CONNECT a:443 HTTP/1.1\r\n\r\n'), 'http'],
    ['HTTP/2', text('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), 'http'],
    ['a TLS hello', '16 03 01 02 00 01 00 01 fc 03 03', 'tls'],
    ['PROXY protocol 1', text('PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n'), 'proxy'],
    ['PROXY protocol 2', '0d 0a 0d 0a 00 0d 0a 51 55 49 54 0a 21 11 00 0c', 'proxy'],
    ['SOCKS6', '06 00 00 00', 'unknown'],
    ['a word', text('HELO example.com\r\n'), 'unknown'],
    ['zero', '00', 'unknown'],
  ];
  for (const [name, hex, kind] of rows) {
    test(`${name}: ${kind}`, () => {
      const bytes = Buffer.from(hex.replaceAll(' ', ''), 'hex');
      for (const size of [1, 3, 512]) {
        const handshake = new ServerHandshake();
        const events: ServerEvent[] = [];
        for (let at = 0; at < bytes.length; at += size) {
          handshake.receive(Uint8Array.from(bytes.subarray(at, at + size)));
          const event = handshake.next();
          if (event !== undefined) events.push(event);
        }
        assert.deepEqual(events, [{ type: 'foreign', kind }]);
        const page = handshake.refuse();
        assert.equal(page !== undefined, kind === 'http');
        if (page !== undefined) checkPage(Buffer.from(page).toString());
      }
    });
  }
});

function checkPage(page: string): void {
  const [head = '', body = ''] = page.split('\r\n\r\n');
  assert.match(head, /^HTTP\/1\.1 4\d\d /);
  assert.match(head, new RegExp(`\\r\\nContent-Length: ${Buffer.byteLength(body)}(\\r\\n|$)`));
  assert.match(head, /\r\nConnection: close/);
  assert.match(body, /SOCKS/);
}
