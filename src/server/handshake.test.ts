import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { MemoryClient } from '../../test/support/memory-client.ts';
import { formatHex, request4, request5 } from '../../test/support/raw.ts';
import { ServerScene } from '../../test/support/server-scene.ts';
import type { Identity, PasswordVerdict } from '../auth/identity.ts';
import { ServerHandshake } from '../handshake/server.ts';
import type { Method } from '../policy/policy.ts';
import { Failure } from './failure.ts';
import { receiveRequest } from './handshake.ts';
import type { Session } from './session/session.ts';

const ANN: Identity = { user: 'ann', groups: ['staff'] };
const CERTIFIED: Identity = { user: 'device', groups: [] };
const VERDICTS: Readonly<Record<string, PasswordVerdict>> = {
  right: { ok: true, identity: ANN },
  wrong: { ok: false, reason: 'wrong' },
  late: { ok: false, reason: 'expired' },
  again: { ok: false, reason: 'back-off' },
};

/** Determines the verdict by the password. */
const authenticator = {
  async verify(_: string, password: string): Promise<PasswordVerdict> {
    const verdict = VERDICTS[password];
    if (verdict === undefined) throw new Error('the directory is down');
    return verdict;
  },
};

const REQUEST = request5(1, '203.0.113.1', 443);
const REQUEST_4 = request4(1, '203.0.113.1', 443);
const text = (value: string): Buffer => Buffer.from(value, 'latin1');
const login = (password: string): Buffer =>
  text(`\x01\x03ann${String.fromCharCode(password.length)}${password}`);
const httpRequest = (password?: string): Buffer => {
  const header = password === undefined ? '' : `Proxy-Authorization: Basic ${btoa(`ann:${password}`)}\r\n`;
  return text(`CONNECT 203.0.113.1:443 HTTP/1.1\r\nHost: x\r\n${header}\r\n`);
};

interface Row {
  readonly title: string;
  readonly methods?: readonly Method[];
  readonly certified?: Identity;
  readonly says: readonly (string | Uint8Array)[];
  /** The bytes that it has received by then. */
  readonly gets?: string;
  /** @default the request is received */
  readonly end?: string;
  readonly method?: Method;
  readonly user?: string;
}

const NO_LOGIN: readonly Method[] = ['none'];

const ROWS: readonly Row[] = [
  { title: 'no method required', says: ['05 01 00', REQUEST], gets: '05 00', method: 'none' },
  {
    title: 'client and server support two methods',
    methods: ['password', 'none'],
    says: ['05 02 00 02', login('right'), REQUEST],
    gets: '05 02 01 00',
    method: 'password',
    user: 'ann',
  },
  {
    title: 'a wrong password',
    methods: ['password'],
    says: ['05 01 02', login('wrong')],
    gets: '05 02',
    end: 'policy:auth:wrong',
    method: 'password',
  },
  {
    title: 'an expired user',
    methods: ['password'],
    says: ['05 01 02', login('late')],
    gets: '05 02',
    end: 'policy:auth:expired',
    method: 'password',
  },
  {
    title: 'repeated guesses',
    methods: ['password'],
    says: ['05 01 02', login('again')],
    gets: '05 02',
    end: 'policy:auth:back-off',
    method: 'password',
  },
  {
    title: 'the back end fails',
    methods: ['password'],
    says: ['05 01 02', login('?')],
    gets: '05 02',
    end: 'internal:auth',
    method: 'password',
  },
  {
    title: 'no method in common',
    methods: ['password'],
    says: ['05 01 00'],
    end: 'policy:greeting:no-method',
  },
  {
    title: 'identified by a certificate',
    methods: ['certificate'],
    certified: CERTIFIED,
    says: ['05 01 00', REQUEST],
    gets: '05 00',
    method: 'certificate',
    user: 'device',
  },
  {
    title: 'a certificate is required',
    methods: ['certificate'],
    says: ['05 01 00'],
    end: 'policy:greeting:no-method',
  },
  {
    title: 'a password takes precedence over a certificate',
    methods: ['password'],
    certified: CERTIFIED,
    says: ['05 01 02', login('right'), REQUEST],
    gets: '05 02 01 00',
    method: 'password',
    user: 'ann',
  },
  {
    title: 'no method required: a certificate is ignored',
    certified: CERTIFIED,
    says: ['05 01 00', REQUEST],
    gets: '05 00',
    method: 'none',
  },
  { title: 'SOCKS4, no method required', says: [REQUEST_4], method: 'none' },
  {
    title: 'SOCKS4 has no passwords',
    methods: ['password'],
    says: [REQUEST_4],
    end: 'policy:request:no-method',
  },
  {
    title: 'SOCKS4 over TLS, with a certificate',
    methods: ['certificate'],
    certified: CERTIFIED,
    says: [REQUEST_4],
    method: 'certificate',
    user: 'device',
  },
  { title: 'HTTP, no method required', says: [httpRequest()], method: 'none' },
  {
    title: 'HTTP with a password',
    methods: ['password'],
    says: [httpRequest('right')],
    method: 'password',
    user: 'ann',
  },
  {
    title: 'HTTP with an unnecessary password',
    methods: ['none', 'password'],
    says: [httpRequest('wrong')],
    method: 'none',
  },
  {
    title: 'HTTP with a wrong password',
    methods: ['password'],
    says: [httpRequest('wrong')],
    end: 'policy:auth:wrong',
    method: 'password',
  },
  {
    title: 'HTTP without the password',
    methods: ['password'],
    says: [httpRequest()],
    end: 'policy:greeting:no-method',
  },
  {
    title: 'HTTP request for a page',
    says: [text('GET / HTTP/1.1\r\nHost: x\r\n\r\n')],
    end: 'client:greeting:http',
  },
  { title: 'TLS', says: ['16 03 01 00 05 01 00 00 01 03'], end: 'client:greeting:tls' },
  {
    title: 'a PROXY header',
    says: [text('PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n')],
    end: 'client:greeting:proxy',
  },
  { title: 'unknown protocol', says: ['00 01 02 03'], end: 'client:greeting:unknown' },
];

interface Received {
  readonly client: MemoryClient;
  readonly session: Session;
  /** `undefined`: the request was received. */
  readonly outcome: Promise<string | undefined>;
}

function receive(scene: ServerScene, methods: readonly Method[], certified?: Identity): Received {
  const { client, session } = scene.open();
  if (certified !== undefined) session.identifiedAs(certified);
  const handshake = new ServerHandshake({ protocols: ['socks5', 'socks4', 'http'] });
  const outcome = receiveRequest(session, handshake, methods, scene.state).then(
    () => undefined,
    (error: unknown) => Failure.from(error, session.phase).message,
  );
  return { client, session, outcome };
}

async function got({ session, client }: Received): Promise<string> {
  session.client.destroy();
  return formatHex(await client.rest());
}

suite('up to the request', () => {
  for (const { title, methods = NO_LOGIN, certified, says, gets = '', end, method, user } of ROWS) {
    for (const inPieces of [false, true]) {
      test(inPieces ? `${title}, byte by byte` : title, async () => {
        using scene = new ServerScene({}, { authenticator });
        const received = receive(scene, methods, certified);
        const { client, session, outcome } = received;
        if (inPieces) for (const byte of Buffer.concat(says.map(bytesOf))) client.send(Buffer.of(byte));
        else client.send(...says);
        assert.equal(await outcome, end);
        assert.deepEqual([session.method, session.identity?.user], [method, user]);
        assert.equal(await got(received), gets);
      });
    }
  }

  for (const [says, end] of [
    [[], 'client:greeting'],
    [['05 01 00'], 'client:request'],
    [['05 01 02', login('right').subarray(0, 4)], 'client:auth'],
  ] as const) {
    test(`the client ends its direction: ${end}`, async () => {
      using scene = new ServerScene({}, { authenticator });
      const { client, outcome } = receive(scene, ['none', 'password']);
      client.send(...says);
      client.end();
      assert.equal(await outcome, end);
    });
  }
});

suite('the password of a client', () => {
  for (const [title, via, expected] of [
    [
      'is kept if an upstream requires it',
      { url: 'socks5://192.0.2.9:1080', credentials: 'client' },
      { username: 'ann', password: 'right' },
    ],
    ['is otherwise forgotten', 'socks5://192.0.2.9:1080', undefined],
  ] as const) {
    test(title, async () => {
      const config = { upstreams: { up: via }, routes: [{ to: 'any', via: 'up' }] } as object;
      using scene = new ServerScene(config, { authenticator });
      const { client, session, outcome } = receive(scene, ['password']);
      client.send('05 01 02', login('right'), REQUEST);
      assert.equal(await outcome, undefined);
      assert.deepEqual(session.credentials, expected);
    });
  }

  test("is verified with the client's address without its zone; a wrong one is logged as a warning", async () => {
    const asked: unknown[] = [];
    const verify = async (...all: unknown[]): Promise<PasswordVerdict> => {
      asked.push(all);
      return VERDICTS.wrong!;
    };
    using scene = new ServerScene({}, { authenticator: { verify } });
    const { client, session } = scene.open('fe80::1%eth0');
    client.send('05 01 02', login('x'));
    await assert.rejects(receiveRequest(session, new ServerHandshake(), ['password'], scene.state));
    assert.deepEqual(asked, [['ann', 'x', 'fe80::1']]);
    assert.match(session.clientPlace, /^\[fe80::1%eth0\]:\d+$/);
    assert.partialDeepStrictEqual(scene.log, [
      {
        level: 'warn',
        event: 'login-failed',
        fields: { id: session.id, client: session.clientPlace, reason: 'wrong', user: 'ann' },
      },
    ]);
  });
});

test('waiting for a verdict stops when the session ends', async () => {
  using scene = new ServerScene({}, { authenticator: { verify: () => new Promise(() => {}) } });
  const { client, session, outcome } = receive(scene, ['password']);
  client.send('05 01 02', login('right'));
  await client.expect('05 02');
  session.stop(new Failure('timeout', 'auth'));
  assert.equal(await outcome, 'timeout:auth');
});

function bytesOf(part: string | Uint8Array): Uint8Array {
  return typeof part === 'string' ? Buffer.from(part.replaceAll(' ', ''), 'hex') : part;
}
