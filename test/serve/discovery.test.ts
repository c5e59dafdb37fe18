import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import type { ConnectionRecord } from '../../src/audit/record.ts';
import { cert, key } from '../support/certificate.ts';
import { makeDirectory } from '../support/directory.ts';
import { startHttpsNameServer, startTlsNameServer } from '../support/encrypted-name-server.ts';
import { type Garter, OPEN, reload, startGarter } from '../support/garter.ts';
import {
  address,
  response,
  service,
  startNameServer,
  type NameServer,
  type Script,
} from '../support/name-server.ts';
import { Command, connectThrough, replyCode, request5, works } from '../support/raw.ts';
import { closedPort, startEcho, startTarget, type Target } from '../support/targets.ts';

const NAME = '_socks5._tcp.example.test';

/** The service is at these ports, by target; all other names resolve to 127.0.0.1. */
const at =
  (...servers: readonly (readonly [target: string, port: number, priority?: number])[]): Script =>
  (asked) => {
    if (asked.type === 'AAAA') return [response(asked)];
    if (asked.name !== NAME) return [response(asked, { answers: [address(asked.name, '127.0.0.1')] })];
    const answers = servers.map(([target, port, priority = 0]) => service(NAME, target, port, { priority }));
    return [response(asked, { answers, rcode: answers.length > 0 ? 0 : 3 })];
  };

/**
 * A garter that uses the discovered servers; the look-up is by `resolve` or by the name servers of the route.
 */
function near(names: NameServer, by: 'resolve' | 'route' = 'resolve'): Promise<Garter> {
  const servers = `["127.0.0.1:${names.endpoint.port}"]`;
  return startGarter({
    config: `
${OPEN}
routes: [{ to: [any], via: found${by === 'route' ? `, dns: ${servers}` : ''} }]
upstreams: { found: { discover: ${NAME} } }
${by === 'resolve' ? `resolve: { servers: ${servers} }` : ''}
timeouts: { connect: 5s }
workers: 1`,
  });
}

suite('discovery', () => {
  const resources = new AsyncDisposableStack();
  let echo: Target;
  let far: Garter;
  before(async () => {
    echo = resources.use(await startEcho());
    far = resources.use(await startGarter({ config: 'rules: [{ name: open, allow: any, to: [loopback] }]' }));
  });
  after(() => resources.disposeAsync());

  test('a server is looked up when it is first needed, and only once', async () => {
    await using names = await startNameServer(at(['p1.test', far.port]));
    await using garter = await near(names);
    assert.equal(names.asked.length, 0);
    await Promise.all([works(garter, echo), works(garter, echo)]);
    await works(garter, echo);
    assert.equal(names.asked.filter(({ type }) => type === 'SRV').length, 1);
    await garter.record({ route: `found/p1.test:${far.port}`, end: 'client:relay' });
  });

  test('a server of lower priority is used when the better ones cannot be reached', async () => {
    const dead = await closedPort();
    await using names = await startNameServer(
      at(['late.test', far.port, 20], ['dead1.test', dead, 10], ['dead2.test', dead, 10]),
    );
    await using garter = await near(names);
    await works(garter, echo);
    await garter.record({ route: `found/late.test:${far.port}` });
    const lines = await garter.log();
    const down = lines.filter(({ event }) => event === 'upstream-down');
    assert.equal(down.length, 2);
    assert.partialDeepStrictEqual(down[0], { level: 'warn', why: 'ECONNREFUSED' });
  });

  for (const by of ['resolve', 'route'] as const) {
    test(`a reload keeps the servers found by the name servers of \`${by}\``, async () => {
      let fails = false;
      const script = at(['p1.test', far.port]);
      await using names = await startNameServer((asked) =>
        fails ? [response(asked, { rcode: 2 })] : script(asked),
      );
      await using garter = await near(names, by);
      await works(garter, echo);
      fails = true;
      await reload(garter, (text) => text);
      await works(garter, echo);
      await garter.record({ route: `found/p1.test:${far.port}`, end: 'client:relay' });
    });
  }

  test('in a group, a service whose look-up takes too long is skipped', async () => {
    await using names = await startNameServer(() => []);
    await using garter = await startGarter({
      config: `
${OPEN}
resolve: { servers: ["127.0.0.1:${names.endpoint.port}"], timeout: 5s }
timeouts: { connect: 4s }
routes: [{ to: [any], via: both }]
upstreams:
  found: { discover: ${NAME} }
  both: { servers: [found, "socks5h://${far.host}:${far.port}"] }`,
    });
    await works(garter, echo);
    await garter.record({ route: `both/${far.host}:${far.port}` });
  });

  test('no server is found', async () => {
    await using names = await startNameServer(at());
    await using garter = await near(names);
    const reply = (): Promise<number> => replyCode(garter, request5(Command.connect, '127.0.0.1', echo.port));
    assert.equal(await reply(), 1);
    await garter.record({ end: 'upstream:dial:ENOTFOUND' });
    const warnings = (await garter.log()).filter((line) => 'service' in line);
    assert.equal(warnings.length, 1);
    assert.partialDeepStrictEqual(warnings[0], { level: 'warn', service: NAME });
  });
});

suite('servers with TLS', () => {
  const resources = new AsyncDisposableStack();
  let far: Garter;
  let certFile: string;
  before(async () => {
    const directory = resources.use(await makeDirectory()).path;
    certFile = join(directory, 'cert.pem');
    const keyFile = join(directory, 'key.pem');
    await writeFile(certFile, cert);
    await writeFile(keyFile, key, { mode: 0o600 });
    far = resources.use(
      await startGarter({
        listener: [`tls: { cert: ${certFile}, key: ${keyFile} }`],
        users: { alice: 's3cret' },
        config: 'rules: [{ name: open, allow: any, to: [loopback] }]',
      }),
    );
  });
  after(() => resources.disposeAsync());

  /**
   * The reply and the record of a request through a server for this domain, for which the records contain
   * this name.
   */
  const ask = async (
    domain: string,
    target: string,
  ): Promise<[reply: number, record: Partial<ConnectionRecord>]> => {
    const secure = `_socks5s._tcp.${domain}`;
    await using names = await startNameServer((asked) => {
      if (asked.type === 'SRV') return [response(asked, { answers: [service(secure, target, far.port)] })];
      return [response(asked, asked.type === 'A' ? { answers: [address(asked.name, '127.0.0.1')] } : {})];
    });
    await using garter = await startGarter({
      config: `
${OPEN}
routes: [{ to: [any], via: found }]
upstreams:
  found: { discover: ${secure}, login: { name: alice, password: "\${PASSWORD}" }, tls: { ca: ${certFile} } }
resolve: { servers: ["127.0.0.1:${names.endpoint.port}"] }`,
      env: { PASSWORD: 's3cret' },
    });
    const reply = await replyCode(garter, request5(Command.connect, '127.0.0.1', await closedPort()));
    return [reply, await garter.record({})];
  };

  test('a password is sent to a server with a certificate for the domain', async () => {
    const [reply] = await ask('localhost', 'p1.test');
    assert.equal(reply, 5, 'what the far end says');
    await far.record({ user: 'alice' });
  });

  test('but to no other server, whatever name the records contain', async () => {
    const [reply, { end }] = await ask('example.test', 'localhost');
    assert.equal(reply, 1);
    assert.match(end!, /^upstream:dial:/);
    await far.record({ end: 'client:greeting:alert-bad-certificate' });
  });
});

suite('a server with several addresses', () => {
  for (const [what, behave] of [
    ['closes at once', (socket: Socket) => void socket.end()],
    ['speaks another protocol', (socket: Socket) => void socket.end('220 ready\r\n')],
    ['says nothing', () => undefined],
  ] as const) {
    test(`one that ${what}: the next one is tried`, async () => {
      await using far = await startGarter({ config: 'rules: [{ name: open, allow: any, to: [loopback] }]' });
      await using echo = await startEcho();
      let met = 0;
      await using faulty = await startTarget(
        (socket) => {
          met++;
          behave(socket);
        },
        '127.0.0.2',
        far.port,
      );
      await using names = await startNameServer((asked) => {
        const answers = [faulty.host, far.host].map((host) => address(asked.name, host));
        return [response(asked, asked.type === 'A' ? { answers } : {})];
      });
      await using garter = await startGarter({
        config: `
${OPEN}
routes: [{ to: [any], via: "socks5h://proxy.test:${far.port}" }]
resolve: { servers: ["127.0.0.1:${names.endpoint.port}"] }
timeouts: { connect: 3s }`,
      });
      using client = await connectThrough(garter, echo);
      client.send(Buffer.from('there and back'));
      client.end();
      assert.equal((await client.rest()).toString(), 'there and back');
      assert.equal(met, 1);
    });
  }
});

suite('names resolved by encrypted name servers', () => {
  for (const [scheme, start, path] of [
    ['tls', startTlsNameServer, ''],
    ['https', startHttpsNameServer, '/dns-query'],
  ] as const) {
    test(scheme, async () => {
      await using stack = new AsyncDisposableStack();
      const ca = join(stack.use(await makeDirectory()).path, 'ca.pem');
      await writeFile(ca, cert);
      const echo = stack.use(await startEcho());
      const names = stack.use(await start(at()));
      const garter = stack.use(
        await startGarter({
          config: `
${OPEN}
resolve: { servers: ["${scheme}://127.0.0.1:${names.endpoint.port}${path}#localhost"] }`,
          env: { NODE_EXTRA_CA_CERTS: ca },
        }),
      );
      using client = await connectThrough(garter, { host: 'www.test', port: echo.port });
      client.send(Buffer.from('there and back'));
      client.end();
      assert.equal((await client.rest()).toString(), 'there and back');
      assert.deepEqual(new Set(names.asked.map(({ name }) => name)), new Set(['www.test']));
      assert.equal(names.connections, 1);
    });
  }
});
