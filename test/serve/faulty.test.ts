import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { connect } from '../../src/client.ts';
import { assertSame } from '../support/engines.ts';
import { startFaulty, type Fault } from '../support/faulty.ts';
import { startGarter, type Garter } from '../support/garter.ts';
import { connectThrough, parseHex } from '../support/raw.ts';
import { startEcho, startTarget, type Target } from '../support/targets.ts';

suite('a faulty relay in front of the target', () => {
  const resources = new AsyncDisposableStack();
  let garter: Garter;
  let echo: Target;
  before(async () => {
    echo = resources.use(await startEcho());
    garter = resources.use(await startGarter({ config: 'timeouts: { idle: 2s, half-close: 2s }' }));
  });
  after(() => resources.disposeAsync());

  for (const [name, fault, size] of [
    ['with random delays', { late: [0, 20] }, 200_000],
    ['byte by byte', { piece: 1 }, 5000],
    ['late and in pieces', { late: [0, 5], piece: 500 }, 20_000],
  ] as const satisfies readonly (readonly [string, Fault, number])[]) {
    test(`${name}: everything arrives, in order`, async () => {
      await using faulty = await startFaulty(echo, fault);
      using client = await connectThrough(garter, faulty);
      const data = randomBytes(size);
      client.send(data);
      client.end();
      assertSame(await client.rest(), data);
      await garter.record({
        destination: `127.0.0.1:${faulty.port}`,
        sent: size,
        received: size,
        end: 'client:relay',
      });
    });
  }

  for (const [name, fault, end] of [
    ['half-open', { stallsAfter: 10_000 }, 'timeout:relay:idle'],
    ['cut', { cutsAfter: 10_000 }, 'target:relay:ECONNRESET'],
  ] as const) {
    test(`${name} in the middle: ${end}`, async () => {
      await using faulty = await startFaulty(echo, fault);
      using client = await connectThrough(garter, faulty);
      client.send(randomBytes(100_000));
      await client.gone();
      await garter.record({ destination: `127.0.0.1:${faulty.port}`, end });
    });
  }

  test('half-open after the client has ended: timeout:relay:half-close', async () => {
    await using faulty = await startFaulty(echo, { stallsAfter: 10_000 });
    using client = await connectThrough(garter, faulty);
    client.send(randomBytes(100_000));
    client.end();
    await client.gone();
    const { end } = await garter.record({ destination: `127.0.0.1:${faulty.port}` });
    assert.match(end!, /^timeout:relay:(idle|half-close)$/);
  });

  test('a target that sends early, never reads and resets: the client receives what was sent', async () => {
    await using target = await startTarget((socket) => {
      socket.write('first');
      socket.pause();
      setTimeout(() => socket.resetAndDestroy(), 300);
    });
    using client = await connectThrough(garter, target);
    await client.expect(Buffer.from('first'));
    client.send(randomBytes(10_000));
    await client.gone();
    await garter.record({ destination: `127.0.0.1:${target.port}`, end: 'target:relay:ECONNRESET' });
  });
});

suite('a SOCKS server that sends faulty replies to the client', () => {
  for (const [name, says, error] of [
    ['another version', '04 00', { code: 'ERR_SOCKS_VERSION' }],
    ['HTTP', '48 54 54 50', { code: 'ERR_SOCKS_VERSION' }],
    ['a method that was not offered', '05 02', { code: 'ERR_SOCKS_METHOD_NOT_OFFERED' }],
    ['no method', '05 ff', { code: 'ERR_PROXY_AUTHENTICATION' }],
    ['half a reply', '05 00 05 00 00 01 7f', { code: 'ERR_PROXY_CLOSED' }],
    ['an unknown address type', '05 00 05 00 00 09', { code: 'ERR_SOCKS_ADDRESS_TYPE' }],
    ['an unknown reply code', '05 00 05 77 00 01 00 00 00 00 00 00', { code: 'ERR_PROXY_REFUSED' }],
    ['nothing, and the end', '', { code: 'ERR_PROXY_CLOSED' }],
  ] as const) {
    test(name, async () => {
      await using liar = await startTarget((socket) => socket.end(parseHex(says)));
      await assert.rejects(
        connect({ proxy: `socks5h://127.0.0.1:${liar.port}`, host: 'a.test', port: 1, timeout: 5000 }),
        error,
      );
    });
  }

  test('silence', async () => {
    await using liar = await startTarget(() => {});
    const proxy = `socks5h://127.0.0.1:${liar.port}`;
    await assert.rejects(connect({ proxy, host: 'a.test', port: 1, timeout: 200 }), {
      code: 'ERR_PROXY_TIMEOUT',
    });
  });

  test('the replies, the first bytes and the end in one piece', async () => {
    await using liar = await startTarget((socket) =>
      socket.end(parseHex('05 00 05 00 00 01 00 00 00 00 00 00 68 69')),
    );
    const socket = await connect({ proxy: `socks5h://127.0.0.1:${liar.port}`, host: 'a.test', port: 1 });
    let heard = '';
    for await (const bytes of socket) heard += String(bytes);
    assert.equal(heard, 'hi');
  });

  test('a reset after the reply and some data', async () => {
    await using liar = await startTarget((socket) => {
      socket.write(parseHex('05 00 05 00 00 01 00 00 00 00 00 00 68 69'));
      setTimeout(() => socket.resetAndDestroy(), 100);
    });
    const socket = await connect({ proxy: `socks5h://127.0.0.1:${liar.port}`, host: 'a.test', port: 1 });
    const heard: string[] = [];
    const failed = new Promise((resolve) => socket.on('error', resolve));
    socket.on('data', (bytes: Buffer) => heard.push(String(bytes)));
    await failed;
    await delay(10);
    assert.deepEqual(heard, ['hi']);
  });
});
