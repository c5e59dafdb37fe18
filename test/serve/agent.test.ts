import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { makeDirectory } from '../support/directory.ts';
import { garterCommand, startGarter, type Garter } from '../support/garter.ts';
import { address, response, startNameServer, type NameServer } from '../support/name-server.ts';
import { check, run, start, until, type Daemon, type Outcome } from '../support/process.ts';
import { Command, RawClient, replyCode, request5, works } from '../support/raw.ts';
import { closedPort, startEcho, type Target } from '../support/targets.ts';

interface Agent extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  readonly process: Daemon;
}

/** A running `garter agent`. Disposing of it stops it as a user would. */
async function startAgent(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Agent> {
  const listen = args.includes('--config') ? [] : ['--listen', '127.0.0.1:0'];
  const daemon = await start([garterCommand, 'agent', ...listen, ...args], {
    ready: /^garter listening on \S+:(\d+)$/m,
    env,
  });
  return {
    host: '127.0.0.1',
    port: Number(daemon.ready[1]),
    process: daemon,
    [Symbol.asyncDispose]: async () => {
      try {
        daemon.signal('SIGTERM');
        assert.equal(await daemon.ended(), 0, 'the agent did not end well');
      } finally {
        await daemon[Symbol.asyncDispose]();
      }
    },
  };
}

const runAgent = (...args: readonly string[]): Promise<Outcome> => run([garterCommand, 'agent', ...args]);

const reply = (agent: Agent, host: string, port: number): Promise<number> =>
  replyCode(agent, request5(Command.connect, host, port));

/** The response to an HTTP request with these lines. */
async function get(agent: Agent, ...lines: readonly string[]): Promise<string> {
  using client = await RawClient.connect(agent);
  client.send(Buffer.from(`${lines.join('\r\n')}\r\n\r\n`));
  return (await client.rest()).toString();
}

/**
 * Standard error without the introduction, and without the warning about too few descriptors on this machine.
 */
function complaints({ process: { stderr } }: Agent): string {
  return stderr()
    .replace(/^\nPrograms on this machine [^]*?\n\n {2}[^]*?\n\n/, '')
    .replace(/^\S+ warn descriptors-short: .*\n/m, '');
}

suite('garter agent', () => {
  const resources = new AsyncDisposableStack();
  let echo: Target;
  let names: NameServer;
  let far: Garter;
  let at: string;
  let directory: string;
  let dead: string;
  before(async () => {
    echo = resources.use(await startEcho());
    names = resources.use(
      await startNameServer((asked) => [
        asked.type === 'A'
          ? response(asked, { answers: [address(asked.name, '127.0.0.1')] })
          : response(asked, { rcode: 0 }),
      ]),
    );
    far = resources.use(
      await startGarter({
        users: { alice: 's3cret' },
        config: `
rules: [{ name: open, allow: any, to: [loopback, .test] }]
resolve: { servers: ["127.0.0.1:${names.endpoint.port}"] }`,
      }),
    );
    at = `${far.host}:${far.port}`;
    directory = resources.use(await makeDirectory()).path;
    dead = `socks5h://127.0.0.1:${await closedPort()}`;
  });
  after(() => resources.disposeAsync());

  const loginFile = async (login: string): Promise<string> => {
    const file = join(directory, 'login');
    await writeFile(file, `${login}\n`, { mode: 0o600 });
    return file;
  };

  test('names are sent to the server as names, with user name and password; nothing is logged', async () => {
    await using agent = await startAgent([
      '--upstream',
      `socks5h://${at}`,
      '--login-file',
      await loginFile('alice:s3cret'),
    ]);
    await works(agent, { host: 'a.test', port: echo.port });
    const record = await far.record({ destination: `a.test:${echo.port}` });
    assert.equal(record.user, 'alice');
    assert.equal(await reply(agent, 'b.test', 1), 5);
    await far.record({ destination: 'b.test:1' });
    assert.equal(complaints(agent), '');
    assert.equal(agent.process.stdout(), `garter listening on 127.0.0.1:${agent.port}\n`);
  });

  test('a password in the environment is not in ps', async () => {
    await using agent = await startAgent([], { GARTER_UPSTREAM: `socks5h://alice:s3cret@${at}` });
    await works(agent, { host: 'c.test', port: echo.port });
    const shown = await check(['ps', '-o', 'comm=,args=', '-p', String(agent.process.pid)]);
    assert.match(shown, /agent/);
    assert.doesNotMatch(shown, /s3cret/);
    assert.doesNotMatch(agent.process.stdout() + agent.process.stderr(), /s3cret/);
  });

  test('a server that is down is skipped', async () => {
    const login = await loginFile('alice:s3cret');
    const upstreams = ['--upstream', dead, '--upstream', `socks5h://${at}`];
    await using agent = await startAgent([...upstreams, '--login-file', login]);
    for (const name of ['d.test', 'e.test']) {
      await works(agent, { host: name, port: echo.port });
      await far.record({ destination: `${name}:${echo.port}` });
    }
    assert.match(complaints(agent), /^\S+ warn upstream-down .*why=ECONNREFUSED$/m);
  });

  test('a wrong password is reported, not tried at another server, and corrected by SIGHUP', async () => {
    const upstreams = ['--upstream', `socks5h://${at}`, '--upstream', dead];
    const args = [...upstreams, '--login-file', await loginFile('alice:wr0ng')];
    await using agent = await startAgent([...args, '--log-level', 'info']);
    assert.equal(await reply(agent, 'f.test', echo.port), 1);
    const line = await until(
      () => /^.* warn upstream-failed: the upstream failed .*$/m.exec(complaints(agent))?.[0],
      () => agent.process.stderr(),
    );
    assert.match(line, /route=upstream/);
    assert.ok(line.includes(`socks5h://${at}: password`), line);
    assert.doesNotMatch(agent.process.stderr(), /wr0ng|f\.test/);

    await loginFile('alice:s3cret');
    agent.process.signal('SIGHUP');
    await until(
      () => / reloaded /.test(agent.process.stderr()),
      () => agent.process.stderr(),
    );
    await works(agent, { host: 'f.test', port: echo.port });
  });

  test('loopback destinations are direct, also by name', async () => {
    await using agent = await startAgent(['--upstream', dead]);
    await works(agent, { host: '127.0.0.1', port: echo.port });
    await works(agent, { host: 'localhost', port: echo.port });
    assert.equal(await reply(agent, 'g.test', echo.port), 1);
  });

  test('with a configuration, names of direct exceptions are resolved here, other names are not', async () => {
    const file = join(directory, 'garter.yaml');
    await using near = await startNameServer((asked) => [
      response(asked, asked.type === 'A' ? { answers: [address(asked.name, '127.0.0.1')] } : { rcode: 0 }),
    ]);
    await writeFile(
      file,
      `
listen: [{ address: "127.0.0.1:0" }]
routes: [{ to: [.near.test], via: direct }, { to: [any], via: "socks5h://alice:\${FAR_PASSWORD}@${at}" }]
resolve: { servers: ["127.0.0.1:${near.endpoint.port}"] }
`,
    );
    await using agent = await startAgent(['--config', file], { FAR_PASSWORD: 's3cret' });
    await works(agent, { host: 'h.test', port: echo.port });
    await far.record({ destination: `h.test:${echo.port}` });
    assert.deepEqual(near.asked, []);
    await works(agent, { host: 'a.near.test', port: echo.port });
    assert.ok(near.asked.every(({ name }) => name === 'a.near.test'));
    assert.ok(near.asked.length > 0);
    assert.equal(complaints(agent), '');
  });

  test('--to shows what would happen to a destination, and starts nothing', async () => {
    const options = ['--upstream', dead, '--direct', '10.0.0.0/8'];
    const near = await runAgent(...options, '--to', '10.1.2.3:80');
    assert.equal(near.code, 0, near.stderr);
    assert.match(near.stdout, /^connect from 127\.0\.0\.1:\d+ to 10\.1\.2\.3:80 by socks5 at .*\n/);
    assert.match(
      near.stdout,
      /\n {2}route {5}direct: direct\n {2}reply {5}0, once it is reached\nallowed\n$/,
    );
    const away = await runAgent(...options, '--to', 'i.test:80');
    assert.equal(away.code, 0, away.stderr);
    const way = `rest: upstream (order: ${dead}), which resolves the name`;
    assert.ok(
      away.stdout.endsWith(`\n  route     ${way}\n  reply     0, once it is reached\nallowed\n`),
      away.stdout,
    );
    assert.equal((await runAgent(...options, '--to', '[::ffff:127.1]:80')).code, 1);
  });

  suite('proxy.pac', () => {
    test('is served to browsers on this machine, and only under names of this machine', async () => {
      await using agent = await startAgent(['--upstream', dead, '--direct', '.near.test', '--pac']);
      for (const path of ['/proxy.pac', '/wpad.dat']) {
        const answer = await get(agent, `GET ${path} HTTP/1.1`, `Host: 127.0.0.1:${agent.port}`);
        assert.match(answer, /^HTTP\/1\.1 200 OK\r\nContent-Type: application\/x-ns-proxy-autoconfig\r\n/);
        assert.ok(answer.includes(`"SOCKS5 127.0.0.1:${agent.port}"`), answer);
        assert.match(answer, /dnsDomainIs\(host, "\.near\.test"\)\) return "DIRECT"/);
      }
      const head = await get(agent, 'HEAD /proxy.pac HTTP/1.1', 'Host: localhost');
      assert.match(head, /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\n$/);
      for (const lines of [
        ['GET /proxy.pac HTTP/1.1', 'Host: evil.example'],
        ['GET /proxy.pac HTTP/1.0'],
        ['GET / HTTP/1.1', 'Host: localhost'],
        ['GET /proxy.pac HTTP/1.1', 'Host: localhost', `X: ${'x'.repeat(20_000)}`],
      ]) {
        const page = await get(agent, ...lines);
        assert.match(page, /^HTTP\/1\.1 400 Bad Request\r\n/, lines.join(' ').slice(0, 80));
        assert.doesNotMatch(page, /FindProxyForURL/);
      }
      await works(agent, { host: '127.0.0.1', port: echo.port });
      assert.equal(complaints(agent), '');
    });

    test('is only served if enabled', async () => {
      await using agent = await startAgent(['--upstream', dead]);
      const page = await get(agent, 'GET /proxy.pac HTTP/1.1', 'Host: localhost');
      assert.match(page, /^HTTP\/1\.1 400 /);
    });

    test('is recorded as HTTP', async () => {
      await using garter = await startGarter({ config: 'pac: true\nworkers: 2' });
      using client = await RawClient.connect(garter);
      client.send(Buffer.from('GET /proxy.pac HTTP/1.1\r\nHost: localhost\r\n\r\n'));
      assert.match((await client.rest()).toString(), /FindProxyForURL/);
      await garter.record({ end: 'client:greeting:http' });
    });

    test('cannot be enabled if other machines can connect', async () => {
      await using garter = await startGarter({
        host: '0.0.0.0',
        config: 'accept: [{ allow: true, from: [loopback] }]',
      });
      const file = join(garter.directory, 'garter.yaml');
      const { code, stderr } = await run([garterCommand, 'check', file]);
      assert.equal(code, 0, stderr);
      await writeFile(
        file,
        'listen: [{ address: "0.0.0.0:0" }]\naccept: [{ allow: true, from: [private] }]\npac: true\n',
      );
      const outcome = await run([garterCommand, 'check', file]);
      assert.notEqual(outcome.code, 0);
      assert.match(outcome.stdout + outcome.stderr, /no listener is only for browsers on this machine/);
    });
  });
});

suite('exit codes of garter agent', () => {
  test('0 for --help, which has an example', async () => {
    const { code, stdout } = await runAgent('--help');
    assert.equal(code, 0);
    assert.match(stdout, /^Example: garter agent --upstream /m);
  });

  test('1 for a port in use', async () => {
    await using garter = await startGarter();
    const { code, stdout, stderr } = await runAgent(
      '--upstream',
      'socks5h://proxy.example',
      '--listen',
      `127.0.0.1:${garter.port}`,
    );
    assert.equal(code, 1, stderr);
    assert.equal(stdout, '');
    assert.match(stderr, new RegExp(`127\\.0\\.0\\.1:${garter.port}`));
  });

  const usage: readonly (readonly [name: string, said: RegExp, ...args: readonly string[]])[] = [
    ['no upstream', /--upstream socks5h:\/\/\S+, --discover \S+, or --config FILE/],
    ['an unknown option', /see garter agent --help/, '--upsteam', 'socks5h://a.example'],
    ['a word without an option', /see garter agent --help/, 'socks5h://alice:hunter2@a.example'],
    ['a password for all to see', /--login-file/, '--upstream', 'socks5h://alice:hunter2@a.example'],
    [
      'a listener that others can reach',
      /garter serve/,
      '--upstream',
      'socks5h://a.example',
      '--listen',
      '0.0.0.0:0',
    ],
  ];
  for (const [name, said, ...args] of usage) {
    test(`2 for ${name}`, async () => {
      const { code, stdout, stderr } = await runAgent(...args);
      assert.equal(code, 2, stderr);
      assert.equal(stdout, '');
      assert.match(stderr, said);
      assert.doesNotMatch(stderr, /hunter2|^\s+at /m);
    });
  }
});
