import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTcp, createServer as createTcpServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { connect, ProxyError } from './client.ts';
import { ConfigError, createServer } from './server.ts';
import type { ConnectionRecord, LogEntry, RuleConfig, Server, ServerConfig } from './server.ts';

/** GARTER_ENGINE has the same effect as for `garter serve`. */
const engine = (process.env.GARTER_ENGINE ?? 'auto') as ServerConfig['engine'];
const anywhere: readonly RuleConfig[] = [{ name: 'here', allow: 'any', to: ['any', 'loopback'] }];

function proxyOf(server: Server, scheme = 'socks5h', login = ''): string {
  return `${scheme}://${login}127.0.0.1:${server.addresses[0]!.port}`;
}

/** A hook that never answers. */
function stuck(): Promise<never> {
  return new Promise(() => {});
}

suite('the library', () => {
  // Sends a greeting first, then echoes.
  const target = createTcpServer((socket) => {
    // Tests end connections in every possible way.
    socket.on('error', () => {});
    socket.write('hello ');
    socket.pipe(socket);
  });
  let port = 0;
  before(async () => {
    target.listen(0, '127.0.0.1');
    await once(target, 'listening');
    port = (target.address() as AddressInfo).port;
  });
  after(() => target.close());

  async function says(proxy: string, host = 'localhost'): Promise<string> {
    const socket = await connect({ proxy, host, port, timeout: 5000 });
    socket.end('there');
    let heard = '';
    for await (const bytes of socket) heard += String(bytes);
    return heard;
  }

  const config: ServerConfig = {
    listen: [{ address: '127.0.0.1:0' }],
    rules: anywhere,
    limits: { connections: 100 },
    engine,
  };

  for (const scheme of ['socks4', 'socks4a', 'socks5', 'socks5h']) {
    test(`client and server speak ${scheme}`, async () => {
      await using server = await createServer(config);
      assert.equal(await says(proxyOf(server, scheme)), 'hello there');
    });
  }

  test('an upstream at an address is used whatever family names are wanted of', async () => {
    await using far = await createServer(config);
    await using server = await createServer({
      ...config,
      routes: [{ to: 'any', via: proxyOf(far) }],
      resolve: { family: 'ipv6' },
    });
    assert.equal(await says(proxyOf(server), '127.0.0.1'), 'hello there');
  });

  test('authenticate identifies the user, and rules see the groups', async () => {
    const rules: RuleConfig[] = [
      { name: 'staff', allow: 'connect', user: ['@staff'], to: ['any', 'loopback'] },
    ];
    await using server = await createServer(
      { listen: [{ address: '127.0.0.1:0', methods: ['password'] }], rules, engine },
      {
        authenticate: async (username, password, address) => {
          assert.equal(address, '127.0.0.1');
          return password === 'right'
            ? { user: username, groups: username === 'ann' ? ['staff'] : [] }
            : undefined;
        },
      },
    );
    assert.equal(await says(proxyOf(server, 'socks5h', 'ann:right@')), 'hello there');
    await assert.rejects(says(proxyOf(server, 'socks5h', 'bob:right@')), {
      code: 'ERR_PROXY_REFUSED',
      reply: 2,
    });
    await assert.rejects(says(proxyOf(server, 'socks5h', 'ann:wrong@')), {
      code: 'ERR_PROXY_AUTHENTICATION',
    });
    await assert.rejects(says(proxyOf(server)), { code: 'ERR_PROXY_AUTHENTICATION' });
  });

  test('an authenticate that fails refuses, and the server lives', async () => {
    await using server = await createServer(
      {
        ...config,
        listen: [{ address: '127.0.0.1:0', methods: ['password', 'none'] }],
      },
      {
        authenticate: async () => {
          throw new Error('the directory is down');
        },
      },
    );
    await assert.rejects(says(proxyOf(server, 'socks5h', 'ann:x@')), ProxyError);
    assert.equal(await says(proxyOf(server)), 'hello there');
  });

  test('decide can refuse what the rules allow', async () => {
    const asked: unknown[] = [];
    await using server = await createServer(config, {
      decide: ({ destination, command }) => {
        asked.push([command, destination.type]);
        return destination.type !== 'name';
      },
    });
    assert.equal(await says(proxyOf(server), '127.0.0.1'), 'hello there');
    await assert.rejects(says(proxyOf(server), 'localhost'), { code: 'ERR_PROXY_REFUSED', reply: 2 });
    assert.deepEqual(asked, [
      ['connect', 'ip'],
      ['connect', 'name'],
    ]);
  });

  test('hooks that never answer block no client for ever, and close() does not wait for them', async () => {
    const timeouts = { handshake: '300ms', connect: '300ms' };
    const listen: ServerConfig['listen'] = [{ address: '127.0.0.1:0', methods: ['password', 'none'] }];
    const server = await createServer(
      { ...config, listen, timeouts },
      { authenticate: stuck, decide: stuck },
    );
    await assert.rejects(says(proxyOf(server, 'socks5h', 'ann:x@')), { code: 'ERR_PROXY_CLOSED' });
    // The rules have allowed it, so a reply is due.
    await assert.rejects(says(proxyOf(server)), { code: 'ERR_PROXY_REFUSED' });
    await server.close();
    const patient = await createServer({ ...config, listen }, { authenticate: stuck, decide: stuck });
    const waiting = Promise.allSettled([says(proxyOf(patient, 'socks5h', 'ann:x@')), says(proxyOf(patient))]);
    while ((await patient.sessions()).filter(({ method }) => method !== undefined).length < 2) await delay(5);
    await patient.close();
    for (const one of await waiting) assert.equal(one.status, 'rejected');
  });

  test('the signal closes it, and open connections with it', async () => {
    const stop = new AbortController();
    const server = await createServer(config, { signal: stop.signal });
    const socket = await connect({ proxy: proxyOf(server), host: '127.0.0.1', port });
    const gone = new Promise<void>(
      (resolve) => void socket.on('error', () => {}).on('close', () => resolve()),
    );
    socket.resume();
    assert.equal((await server.sessions()).length, 1);
    stop.abort();
    await gone;
    await server.close();
    assert.equal((await server.sessions()).length, 0);
    await assert.rejects(createServer(config, { signal: stop.signal }), { name: 'AbortError' });
  });

  test('the error for an invalid configuration shows what to write', async () => {
    const wrong = { ...config, lisen: [], rules: [{ allow: 'any', to: 'any', port: '0-x' }] } as const;
    await assert.rejects(createServer(wrong), (error) => {
      assert.ok(error instanceof ConfigError);
      assert.equal(error.code, 'ERR_CONFIG');
      assert.match(error.message, /lisen[\s\S]*listen/);
      assert.deepEqual(error.problems, [
        {
          where: 'rules[0].port[0]',
          path: ['rules', 0, 'port', 0],
          message: '"0-x" is not a port',
          remedy:
            'write a port such as 443, a range such as 8000-8999, up to 65535, or a service such as https',
        },
        {
          where: 'lisen',
          path: ['lisen'],
          message: 'there is no key "lisen" here',
          remedy: 'did you mean listen?',
        },
      ]);
      return true;
    });
    // @ts-expect-error: a key that there is not does not compile
    await assert.rejects(createServer({ lisen: [] }), ConfigError);
  });

  test('reload puts another configuration in force, or changes nothing', async () => {
    const logged: LogEntry[] = [];
    const onLog = (entry: LogEntry): void => void logged.push(entry);
    await using server = await createServer({ ...config, health: '127.0.0.1:0' }, { onLog });
    const open = server.addresses;
    assert.equal((await fetch(`http://127.0.0.1:${server.health!.port}/readyz`)).status, 200);
    const socket = await connect({ proxy: proxyOf(server), host: '127.0.0.1', port });
    const gone = new Promise<unknown>((resolve) => socket.on('error', () => {}).on('close', resolve));
    socket.resume();
    await assert.rejects(server.reload({ ...config, rules: [{ allow: 'any', to: 'no where' }] }), (error) => {
      return error instanceof ConfigError && error.problems[0]?.path?.join('.') === 'rules.0.to.0';
    });
    assert.equal((await server.sessions()).length, 1);
    // A configuration with a warning.
    const rules: RuleConfig[] = [{ name: 'other', allow: 'any', to: ['private', 'publik'] }];
    await server.reload({ ...config, rules });
    await gone;
    assert.deepEqual(server.addresses, open);
    assert.equal(server.health, undefined);
    await assert.rejects(says(proxyOf(server)), { code: 'ERR_PROXY_REFUSED', reply: 2 });
    const warnings = logged.filter(({ level }) => level === 'warn').map(({ event }) => event);
    assert.deepEqual(warnings, ['configuration']);
  });

  for (const workers of [1, 2]) {
    test(`every record and every line of the log is delivered, from ${workers} thread(s)`, async () => {
      const records: ConnectionRecord[] = [];
      const logged: LogEntry[] = [];
      const rules: RuleConfig[] = [
        { name: 'here', allow: 'connect', to: 'loopback', log: [] },
        { name: 'closed', deny: 'any', to: 'any' },
      ];
      const server = await createServer(
        { ...config, rules, workers },
        { onRecord: (record) => void records.push(record), onLog: (entry) => void logged.push(entry) },
      );
      assert.equal(await says(proxyOf(server)), 'hello there');
      await assert.rejects(says(proxyOf(server), '192.0.2.1'), { reply: 2 });
      await server.close();
      const brief = records.map(({ rule, sent, end }) => ({ rule, sent, end }));
      assert.deepEqual(
        brief.toSorted((a, b) => b.sent - a.sent),
        [
          { rule: 'here', sent: 5, end: 'client:relay' },
          { rule: 'closed', sent: 0, end: 'policy:request:rule' },
        ],
      );
      assert.deepEqual(
        logged.map(({ level, event }) => `${level} ${event}`),
        ['info started', 'info error'],
      );
      const [{ time, fields }] = logged.slice(1) as [LogEntry];
      assert.equal(new Date(time).toISOString(), time);
      assert.deepEqual(
        fields,
        records.find(({ rule }) => rule === 'closed'),
      );
    });
  }

  test('callbacks that throw have no effect, and are reported where possible', async () => {
    const logged: string[] = [];
    const server = await createServer(config, {
      onRecord: ({ sent }) => {
        throw new Error(`sent ${sent}`);
      },
      onLog: async ({ event, fields }) => {
        logged.push(`${event} ${fields.error}`);
        throw new Error('and so does this');
      },
    });
    assert.equal(await says(proxyOf(server)), 'hello there');
    assert.equal(await says(proxyOf(server)), 'hello there');
    await server.close();
    const faults = logged.filter((line) => line.startsWith('hook-failed'));
    assert.equal(faults.length, 1, 'the same words once a minute');
    assert.match(faults[0]!, /Error: sent 5/);
  });

  test('the level of the log is that of onLog', async () => {
    const seen: string[] = [];
    await using server = await createServer(
      { ...config, log: { level: 'error' } },
      { onLog: ({ level }) => void seen.push(level) },
    );
    assert.equal(await says(proxyOf(server)), 'hello there');
    assert.deepEqual(seen, []);
  });

  test('the socket of connect() is in its initial state: it flows once it has a listener', async () => {
    await using server = await createServer(config);
    const socket = await connect({ proxy: proxyOf(server), host: 'localhost', port });
    const [first] = (await once(socket, 'data')) as [Buffer];
    assert.equal(String(first), 'hello ');
    socket.destroy();
  });

  test('time-out and signal of connect() apply to the name look-up too', async () => {
    const options = { proxy: 'socks5://127.0.0.1:9', host: 'nowhere.invalid', port: 9 };
    const signal = AbortSignal.abort(new Error('enough'));
    await assert.rejects(connect({ ...options, signal }), { message: 'enough' });
    await assert.rejects(connect({ ...options, timeout: 1 }), (error: { code?: string }) =>
      // Either can come first: the timer, or the resolver's error for .invalid.
      ['ERR_PROXY_TIMEOUT', 'ENOTFOUND', 'EAI_AGAIN'].includes(error.code ?? ''),
    );
  });

  test('a signal that aborts while the server starts closes it', async () => {
    const stop = new AbortController();
    const starting = createServer(config, { signal: stop.signal });
    stop.abort(new Error('never mind'));
    await assert.rejects(starting, { message: 'never mind' });
  });

  test('a port that is taken', async () => {
    await using server = await createServer(config);
    const address = `127.0.0.1:${server.addresses[0]!.port}`;
    await assert.rejects(createServer({ ...config, listen: [{ address }] }), { code: 'EADDRINUSE' });
  });

  test('a client that gives up frees everything', async () => {
    await using server = await createServer(config);
    const stop = new AbortController();
    const silent = createTcpServer(() => {});
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const proxy = `socks5://127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const waiting = connect({ proxy, host: '127.0.0.1', port, signal: stop.signal });
    stop.abort();
    await assert.rejects(waiting, { name: 'AbortError' });
    await assert.rejects(connect({ proxy, host: '127.0.0.1', port, timeout: 50 }), {
      code: 'ERR_PROXY_TIMEOUT',
    });
    silent.close();
    assert.equal((await server.sessions()).length, 0);
  });

  test('a server that is no proxy', async () => {
    await assert.rejects(connect({ proxy: `socks5h://127.0.0.1:${port}`, host: 'x', port: 1 }), {
      code: 'ERR_SOCKS_VERSION',
    });
    const closing = createTcpServer((socket) => socket.end());
    closing.listen(0, '127.0.0.1');
    await once(closing, 'listening');
    const proxy = `socks5h://127.0.0.1:${(closing.address() as AddressInfo).port}`;
    await assert.rejects(connect({ proxy, host: 'x', port: 1 }), { code: 'ERR_PROXY_CLOSED' });
    closing.close();
  });

  test('bytes behind the request are the first for the destination', async () => {
    await using server = await createServer(config);
    const socket = connectTcp(server.addresses[0]!.port, '127.0.0.1');
    const request = Buffer.from([5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, port >> 8, port & 255]);
    socket.end(Buffer.concat([request, Buffer.from('early')]));
    const heard: Uint8Array[] = [];
    for await (const bytes of socket) heard.push(bytes as Uint8Array);
    assert.equal(
      Buffer.concat(heard)
        .subarray(2 + 10)
        .toString(),
      'hello early',
    );
  });
});
