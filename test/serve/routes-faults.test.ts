import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { after, before, suite, test } from 'node:test';
import { type Garter, OPEN, reload, startGarter } from '../support/garter.ts';
import { until } from '../support/process.ts';
import { Command, connectThrough, parseHex, RawClient, replyCode, request5 } from '../support/raw.ts';
import { at, startEcho, startTarget, type Target } from '../support/targets.ts';

/** Answers each message with the next of these. */
function says(...messages: readonly string[]): (socket: Socket) => void {
  return (socket) => {
    let next = 0;
    socket.on('data', () => {
      const message = messages[next++];
      if (message === 'close') socket.end();
      else if (message === 'reset') socket.resetAndDestroy();
      else if (message !== undefined) socket.write(parseHex(message));
    });
  };
}

/** A faulty server. */
interface Fault {
  readonly title: string;
  readonly serve: (socket: Socket) => void;
  /** The end in the record when it is the only server. */
  readonly end: RegExp;
  /** Whether the destination may be the cause: then no other server is tried. */
  readonly final?: true;
  readonly scheme?: 'http' | 'socks4';
  /**
   * The reply to the client when it is the only server. @default 1, or 6 if the destination may be the cause
   */
  readonly code?: number;
}

const HTTP_ERROR = Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n').toString('hex');
const faults: readonly Fault[] = [
  { title: 'says nothing', serve: says(), end: /^upstream:dial:ETIMEDOUT$/ },
  { title: 'closes', serve: says('close'), end: /^upstream:dial:closed$/ },
  { title: 'closes at once', serve: (socket) => socket.end(), end: /^upstream:dial:closed$/ },
  { title: 'resets', serve: says('reset'), end: /^upstream:dial:ECONNRESET$/ },
  { title: 'has another version', serve: says('04 00'), end: /^upstream:dial:ERR_SOCKS_VERSION$/ },
  { title: 'speaks HTTP', serve: says(HTTP_ERROR), end: /^upstream:dial:ERR_SOCKS_VERSION$/ },
  { title: 'sends half an answer', serve: says('05'), end: /^upstream:dial:ETIMEDOUT$/ },
  { title: 'selects a method that was not offered', serve: says('05 02'), end: /^upstream:dial:ERR_/ },
  { title: 'closes before its reply', serve: says('05 00', 'close'), end: /^upstream:dial:closed$/ },
  { title: 'resets before its reply', serve: says('05 00', 'reset'), end: /^upstream:dial:ECONNRESET$/ },
  {
    title: 'replies in another version',
    serve: says('05 00', '04 00 00 01 7f 00 00 01 00 50'),
    end: /^upstream:dial:ERR_SOCKS_VERSION$/,
  },
  {
    title: 'replies with an unknown kind of address',
    serve: says('05 00', '05 00 00 09 7f 00 00 01 00 50'),
    end: /^upstream:dial:ERR_SOCKS_/,
  },
  {
    title: 'never replies',
    serve: says('05 00'),
    end: /^target:dial:ETIMEDOUT$/,
    final: true,
  },
  {
    title: 'never ends its reply',
    serve: says('05 00', '05 00 00 01 7f 00'),
    end: /^target:dial:ETIMEDOUT$/,
    final: true,
  },
  ...['05 05', '05 05 00 09 01'].map((hex) => ({
    title: `refuses with ${hex}`,
    serve: says('05 00', hex),
    end: /^target:dial:reply-5$/,
    final: true as const,
    code: 5,
  })),
  {
    title: 'refuses with two bytes and closes',
    serve: (socket: Socket) => {
      socket.once('data', () => {
        socket.write(parseHex('05 00'));
        socket.once('data', () => socket.end(parseHex('05 04')));
      });
    },
    end: /^target:dial:reply-4$/,
    final: true,
    code: 4,
  },
  {
    title: 'refuses in SOCKS4 with version 4 and no address',
    scheme: 'socks4',
    serve: says('04 5b'),
    end: /^target:dial:reply-1$/,
    final: true,
    code: 1,
  },
  {
    title: 'refuses as an HTTP proxy that closes after its status line',
    scheme: 'http',
    serve: (socket: Socket) => void socket.once('data', () => socket.end('HTTP/1.1 504 Late\r\n')),
    end: /^target:dial:reply-6$/,
    final: true,
  },
  {
    title: 'refuses as an HTTP proxy with more fields than fit',
    scheme: 'http',
    serve: (socket: Socket) =>
      void socket.once('data', () => socket.write(`HTTP/1.1 403 No\r\n${'X: and so on\r\n'.repeat(2000)}`)),
    end: /^target:dial:reply-2$/,
    final: true,
    code: 2,
  },
  {
    title: 'says nothing as an HTTP proxy',
    scheme: 'http',
    serve: says(),
    end: /^upstream:dial:ETIMEDOUT$/,
    code: 6,
  },
  {
    title: 'says nothing in SOCKS4',
    scheme: 'socks4',
    serve: says(),
    end: /^upstream:dial:ETIMEDOUT$/,
    code: 6,
  },
  {
    title: 'sends a header without end',
    scheme: 'http',
    serve: (socket) => void socket.write(`HTTP/1.1 200 OK\r\n${'X-Filler: and so on\r\n'.repeat(10_000)}`),
    end: /^upstream:dial:ERR_/,
  },
];

function reply(garter: Garter, port: number): Promise<number> {
  return replyCode(garter, request5(Command.connect, '127.0.0.1', port));
}

/** The entries of the log about upstreams that are down. */
async function downs(garter: Garter): Promise<readonly object[]> {
  return (await garter.log()).filter(({ event }) => event === 'upstream-down');
}

suite('faulty upstreams', () => {
  const resources = new AsyncDisposableStack();
  let echo: Target;
  let good: Garter;
  /** The duration of `connect: 2s` in this run, in milliseconds. */
  let patience: number;
  before(async () => {
    echo = resources.use(await startEcho());
    good = resources.use(await startGarter({ config: OPEN }));
    await using silent = await startTarget(says());
    await using garter = await near(`"socks5h://${at(silent)}"`);
    await reply(garter, 1);
    patience = (await garter.record({ end: 'upstream:dial:ETIMEDOUT' })).duration;
  });
  after(() => resources.disposeAsync());

  const near = (via: string, timeouts = 'connect: 2s'): Promise<Garter> =>
    startGarter({
      config: `
${OPEN}
workers: 1
timeouts: { ${timeouts} }
routes:
${['alone', 'in-a-chain', 'in-a-group'].map((name, i) => `  - { to: [any], port: ${i + 1}, via: ${name} }`).join('\n')}
  - { to: [any], via: in-a-group }
upstreams:
  alone: ${via}
  in-a-chain: { chain: ["socks5h://${at(good)}", ${via}] }
  in-a-group: { servers: [${via}, "socks5h://${at(good)}"] }`,
    });

  suite('alone, in a chain and in a group', { concurrency: 4 }, () => {
    for (const { title, serve, end, scheme = 'socks5h', final, code = final ? 6 : 1 } of faults) {
      test(`one that ${title}`, async () => {
        await using bad = await startTarget(serve);
        await using garter = await near(`"${scheme}://${at(bad)}"`);
        assert.deepEqual(await Promise.all([reply(garter, 1), reply(garter, 2)]), [code, code]);
        for (const port of [1, 2]) {
          const record = await garter.record({ destination: `127.0.0.1:${port}` });
          assert.match(record.end!, end);
          assert.ok(record.duration < 3 * patience, `${record.duration} ms, where ${patience} is time-out`);
        }
        if (final !== undefined) {
          assert.equal(await reply(garter, echo.port), code);
          // Its answer was valid, so it is not down, and no other server is tried.
          assert.deepEqual(await downs(garter), []);
          return;
        }
        using client = await connectThrough(garter, echo);
        client.send(Buffer.from('by the other one'));
        await client.expect(Buffer.from('by the other one'));
        client.end();
        const { route } = await garter.record({ destination: at(echo) });
        assert.equal(route, `in-a-group/${at(good)}`);
      });
    }
  });

  test('one that closes, with an address that the kernel reports differently, is tried once', async () => {
    let connections = 0;
    await using bad = await startTarget((socket) => {
      connections++;
      socket.on('data', () => socket.end());
    });
    for (const host of ['0.0.0.0', '[::ffff:127.0.0.1]']) {
      connections = 0;
      await using garter = await near(`"socks5h://${host}:${bad.port}"`);
      assert.equal(await reply(garter, 1), 1);
      assert.equal(connections, 1, host);
    }
  });

  for (const scheme of ['http', 'socks4'] as const) {
    test(`${scheme}: if all are silent, the destination may be the cause, and none of them is down`, async () => {
      // They answer garter's own request, whose destination is 0.0.0.0.
      await using silent = await startTarget((socket) => {
        socket.once('data', (asked: Buffer) => {
          if (scheme === 'http') {
            if (asked.includes(' 0.0.0.0:0 ')) socket.write('HTTP/1.1 400 No\r\n\r\n');
          } else if (asked.readUInt32BE(4) === 0) socket.write(parseHex('00 5b'));
        });
      });
      await using garter = await startGarter({
        config: `
${OPEN}
timeouts: { connect: 4s }
routes: [{ to: [any], via: both }]
upstreams:
  both: { servers: ["${scheme}://${at(silent)}", "${scheme}://localhost:${silent.port}"] }`,
      });
      assert.equal(await reply(garter, 1), 6);
      await garter.record({ end: 'upstream:dial:ETIMEDOUT' });
      assert.deepEqual(await downs(garter), []);
    });

    test(`${scheme}: servers that close in any case do not keep clients from the next one`, async () => {
      await using targets = new AsyncDisposableStack();
      const dead: Target[] = [];
      for (let i = 0; i < 3; i++) dead.push(targets.use(await startTarget(says('close'))));
      const servers = dead.map((one) => `"${scheme}://${at(one)}", `).join('');
      await using garter = await startGarter({
        config: `
${OPEN}
workers: 1
routes: [{ to: [any], via: all }]
upstreams: { all: { servers: [${servers}"socks5h://${at(good)}"] } }`,
      });
      assert.equal(await reply(garter, echo.port), 1);
      await until(
        async () => (await downs(garter)).length === 3,
        () => 'not all of the dead are down',
      );
      using client = await connectThrough(garter, echo);
      client.end();
    });
  }

  test('http: if one is silent and another answers, the first is down', async () => {
    await using silent = await startTarget(says());
    await using answering = await startTarget((socket) => {
      socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\n\r\n')).on('end', () => socket.end());
    });
    await using garter = await startGarter({
      config: `
${OPEN}
timeouts: { connect: 4s }
routes: [{ to: [any], via: both }]
upstreams: { both: { servers: ["http://${at(silent)}", "http://${at(answering)}"] } }`,
    });
    using client = await connectThrough(garter, { host: '127.0.0.1', port: 3 });
    client.end();
    const down = await until(
      async () => (await garter.log()).find(({ event }) => event === 'upstream-down'),
      () => 'nobody is down',
    );
    assert.partialDeepStrictEqual(down, { upstream: `http://${at(silent)}`, why: 'ETIMEDOUT' });
  });

  // Only some destinations make the first server close: with SOCKS5 it has answered the greeting, otherwise
  // it answers garter's own request.
  const closing: Readonly<Record<string, (socket: Socket) => void>> = {
    socks5h: says('05 00', 'close'),
    socks5: says('05 00', '05 00 00 09'),
    socks4: (socket) =>
      void socket.once('data', (asked: Buffer) =>
        asked.readUInt32BE(4) === 0 ? socket.end(parseHex('00 5b 00 00 00 00 00 00')) : socket.end(),
      ),
    http: (socket) =>
      void socket.once('data', (asked: Buffer) =>
        asked.toString().startsWith('CONNECT 0.0.0.0:0 ')
          ? socket.end('HTTP/1.1 400 No\r\n\r\n')
          : socket.end(),
      ),
  };
  for (const [scheme, serve] of Object.entries(closing)) {
    test(`${scheme}: a destination that makes a server close, or send an invalid reply, does not put it down`, async () => {
      let asked = 0;
      await using closes = await startTarget((socket) => {
        asked++;
        serve(socket);
      });
      await using garter = await startGarter({
        config: `
${OPEN}
workers: 1
routes: [{ to: [any], via: both }]
upstreams: { both: { servers: ["${scheme}://${at(closes)}", "socks5h://${at(good)}"] } }`,
      });
      for (let i = 1; i <= 3; i++) {
        const count = asked;
        using client = await connectThrough(garter, echo);
        client.end();
        await until(
          () => asked > count,
          () => 'another server was asked first',
        );
      }
      assert.deepEqual(await downs(garter), []);
    });
  }

  const GRANTED = '05 00 00 01 7f 00 00 01 00 50';
  test('one that dies in the middle: its bytes are passed on, and no other server is tried', async () => {
    await using bad = await startTarget((socket) => {
      says('05 00', `${GRANTED}${Buffer.from('half').toString('hex')}`, 'reset')(socket);
    });
    await using garter = await near(`"socks5h://${at(bad)}"`);
    const { length } = await good.records();
    using client = await connectThrough(garter, { host: '127.0.0.1', port: 3 });
    await client.expect(Buffer.from('half'));
    client.send(Buffer.from('more?'));
    await client.gone();
    const { end, received } = await garter.record({ destination: '127.0.0.1:3' });
    assert.equal(end, 'target:relay:ECONNRESET');
    assert.equal(received, 4);
    assert.equal((await good.records()).length, length);
  });

  test('one that stalls in the middle', async () => {
    await using bad = await startTarget(says('05 00', GRANTED));
    await using garter = await near(`"socks5h://${at(bad)}"`, 'connect: 2s, idle: 1s');
    using client = await connectThrough(garter, { host: '127.0.0.1', port: 3 });
    client.send(Buffer.from('hello?'));
    await client.gone();
    await garter.record({ end: 'timeout:relay:idle', sent: 6 });
  });

  test('one that is this garter itself', async () => {
    await using garter = await startGarter({ config: OPEN });
    await reload(garter, (text) => `${text}\nroutes: [{ to: [any], via: "socks5h://${at(garter)}" }]\n`);
    assert.equal(await reply(garter, echo.port), 1);
    await garter.record({ end: 'upstream:dial:loop' });
  });

  test('two that lead to each other: their limits end the loop, and then they work as before', async () => {
    const config = `${OPEN}\nworkers: 1\ntimeouts: { connect: 5s }\nlimits: { connections: 50 }`;
    await using one = await startGarter({ config });
    await using two = await startGarter({
      config: `${config}\nroutes: [{ to: [any], via: "socks5h://${at(one)}" }]`,
    });
    await reload(one, (text) => `${text}\nroutes: [{ to: [any], via: "socks5h://${at(two)}" }]\n`);
    for (let i = 0; i < 3; i++) {
      const start = performance.now();
      assert.equal(await reply(one, echo.port), 1);
      const took = performance.now() - start;
      assert.ok(took < 4 * patience, `${took} ms, where ${patience} is time-out`);
    }
    for (const garter of [one, two]) {
      const records = await garter.records();
      assert.ok(records.length <= 3 * 51 + 3, `${records.length} connections`);
    }
    using client = await RawClient.connect(one);
    client.send('05 01 00');
    await client.expect('05 00');
  });
});
