import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { cert, key } from '../support/certificate.ts';
import { makeDirectory } from '../support/directory.ts';
import { startGarter, type Garter } from '../support/garter.ts';
import { until } from '../support/process.ts';
import { Command, connectThrough, parseHex, RawClient, request4, request5 } from '../support/raw.ts';
import { startEcho, type Target } from '../support/targets.ts';
import { descriptors } from '../support/usage.ts';

const WRONG = ['05 01 02  01 01', Buffer.from('a'), '01', Buffer.from('b')];
/** The input of clients that get an answer and nothing more. */
const REFUSED: Readonly<Record<string, readonly (string | Uint8Array)[]>> = {
  'no method': ['05 01 09'],
  'a wrong password': WRONG,
  'a request that the rules refuse': ['05 01 00', request5(Command.connect, '127.0.0.7', 9)],
  SOCKS4: [request4(Command.connect, '127.0.0.7', 9)],
  'no such command': ['05 01 00', request5(9, '127.0.0.1', 9)],
  'a destination that refuses': ['05 01 00', request5(Command.connect, '127.0.0.1', 9)],
  'RESOLVE, which was answered': ['05 01 00', request5(Command.resolve, '127.0.0.1', 0)],
  HTTP: [Buffer.from('GET / HTTP/1.1\r\n\r\n')],
  junk: ['ff ff ff ff'],
};
const CONFIG =
  'rules: [{ deny: any, to: [127.0.0.7] }, { allow: [connect, bind, udp, resolve], to: [loopback] }]';
const METHODS = 'methods: [none, password]';

async function serves(garter: { host: string; port: number }, echo: Target, from?: string): Promise<void> {
  using client = await connectThrough(garter, echo, from);
  client.send(Buffer.from('x'));
  await client.expect(Buffer.from('x'));
}

/** The `tls` line of a listener. */
async function writeTls(directory: string): Promise<string> {
  const files = { cert: join(directory, 'cert.pem'), key: join(directory, 'key.pem') };
  await writeFile(files.cert, cert);
  await writeFile(files.key, key, { mode: 0o600 });
  return `tls: { cert: ${files.cert}, key: ${files.key} }`;
}

async function secondListener(garter: Garter): Promise<{ host: string; port: number }> {
  const [, port] = await until(
    () => [...garter.process.stdout().matchAll(/^garter listening on \S+:(\d+)$/gm)][1],
    () => 'it does not listen twice',
  );
  return { host: garter.host, port: Number(port) };
}

suite('clients that were answered and do not disconnect', () => {
  suite('do not occupy a slot', () => {
    const resources = new AsyncDisposableStack();
    let garter: Garter;
    let echo: Target;
    before(async () => {
      echo = resources.use(await startEcho());
      garter = resources.use(
        await startGarter({
          config: `limits: { connections: 4 }\n${CONFIG}`,
          users: { alice: 'secret' },
          listener: [METHODS],
        }),
      );
    });
    after(() => resources.disposeAsync());

    for (const [what, sends] of Object.entries(REFUSED)) {
      test(what, async () => {
        using held = new DisposableStack();
        for (let i = 0; i < 4; i++) {
          const client = held.use(await RawClient.connect(garter));
          client.send(...sends);
          await client.rest();
        }
        await serves(garter, echo);
      });
    }
  });

  test('do not occupy a slot: over TLS, and without TLS where it is required', async () => {
    await using directory = await makeDirectory();
    const tls = await writeTls(directory.path);
    await using echo = await startEcho();
    await using garter = await startGarter({
      config: `limits: { connections: 4 }\n${CONFIG}`,
      users: { alice: 'secret' },
      listener: [
        METHODS,
        ['udp: {}', '  - address: "127.0.0.1:0"', `    ${METHODS}`, `    ${tls}`].join('\n'),
      ],
    });
    const second = await secondListener(garter);
    using held = new DisposableStack();
    for (const sends of [['05 01 09'], WRONG, ['05 01 09'], WRONG]) {
      const at = { ...second, allowHalfOpen: true };
      const client = connectTls({ ...at, ca: cert, servername: 'localhost' });
      held.defer(() => client.destroy());
      client.write(Buffer.concat(sends.map((part) => parseHex(part))));
      client.resume();
      await once(client, 'end');
    }
    for (let i = 0; i < 4; i++) {
      const client = held.use(await RawClient.connect(second));
      client.send('05 01 00');
      await client.gone();
    }
    await serves(garter, echo);
  });

  for (const [what, bytes, ends] of [
    ['half a greeting and the end', parseHex('16 03 01 02 00 01 00 01 fc 03 03'), true],
    [
      'a greeting of another version',
      Buffer.concat([
        parseHex('16 03 00 00 2f 01 00 00 2b 03 00'),
        Buffer.alloc(32),
        parseHex('00 00 04 00 2f 00 35 01 00'),
      ]),
      false,
    ],
    ['a record of junk', parseHex('16 03 01 00 04 ff ff ff ff'), false],
    ['an oversized record', parseHex('16 03 01 ff ff 01 00 00'), false],
  ] as const) {
    test(`do not occupy a slot: a TLS handshake interrupted by ${what}`, async () => {
      await using directory = await makeDirectory();
      const tls = await writeTls(directory.path);
      await using echo = await startEcho();
      await using garter = await startGarter({
        config: `limits: { connections: 4 }\n${CONFIG}`,
        listener: [`${tls}\n  - address: "127.0.0.1:0"`],
      });
      using held = new DisposableStack();
      for (let i = 0; i < 4; i++) {
        const client = held.use(await RawClient.connect(garter));
        client.send(bytes);
        if (ends) client.end();
        await client.gone();
      }
      await serves(await secondListener(garter), echo);
    });
  }

  test('do not occupy a slot: an invalid PROXY header', async () => {
    await using echo = await startEcho();
    await using garter = await startGarter({
      config: `limits: { connections: 4 }\n${CONFIG}`,
      listener: ['proxy-protocol: { from: [127.0.0.1] }'],
    });
    using held = new DisposableStack();
    for (let i = 0; i < 4; i++) {
      const client = held.use(await RawClient.connect(garter));
      client.send(Buffer.from('PROXY UNKNOWN? \r\n'));
      await client.gone();
    }
    await serves(garter, echo, '127.0.0.2');
  });

  test('do not occupy a slot: guesses that wait for a slow comparison', async () => {
    await using directory = await makeDirectory();
    const file = join(directory.path, 'users.txt');
    const hash = `$argon2id$v=19$m=65536,t=4,p=1$${'c'.repeat(22)}$${'c'.repeat(43)}`;
    await writeFile(file, `alice:${hash.replace(/c\$/, 'A$').replace(/c$/, 'A')}\n`, { mode: 0o600 });
    await using echo = await startEcho();
    await using garter = await startGarter({
      config: `workers: 1\nlimits: { connections: 20 }\nusers: { file: ${file} }\n${CONFIG}`,
      listener: [METHODS],
    });
    using held = new DisposableStack();
    for (let i = 0; i < 20; i++) {
      const client = held.use(await RawClient.connect(garter));
      client.send(...WRONG);
      await client.expect('05 02');
    }
    for (let i = 0; i < 3; i++) await serves(garter, echo, '127.0.0.2');
  });

  test('use no more descriptors than there are, however many clients connect', async () => {
    const few = ['sh', '-c', 'ulimit -n 64; exec "$0" "$@"'];
    await using echo = await startEcho();
    await using garter = await startGarter({ config: CONFIG, prefix: few });
    await serves(garter, echo);
    const atFirst = await descriptors(garter.process.pid);
    using held = new DisposableStack();
    for (let i = 0; i < 100; i++) {
      const client = held.use(await RawClient.connect(garter));
      client.send('05 01 09');
      await client.expect('05 ff');
    }
    await serves(garter, echo);
    const more = (await descriptors(garter.process.pid)) - atFirst;
    assert.ok(more <= 8, `${more} descriptors more`);
    assert.deepEqual(
      (await garter.log()).filter(({ event }) => event === 'accept-failed'),
      [],
    );
  });
});
