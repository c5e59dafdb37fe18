import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { accepted, dialled, engines, leavesNothing, read } from '../../../test/support/engines.ts';
import type { Endpoint } from '../../wire/address.ts';

leavesNothing();

function at(device: string): Endpoint {
  return { host: `127.0.0.1%${device}`, port: 0 };
}

/** Linux routes connections to a local address through this interface; other systems have no fast engine. */
const LOOPBACK = 'lo';

for (const engine of engines) {
  const tells = engine.name === 'fast';

  for (const host of ['127.0.0.1', '::1', '::']) {
    test(`${engine.name}: the interface that a connection to ${host} arrived on, ${tells ? 'and no other' : 'which it cannot know'}`, async () => {
      const { near, far } = await accepted(engine, host);
      far.end('what it sends');
      assert.equal(near.cameBy(LOOPBACK), tells);
      for (const other of ['garter0', 'x'.repeat(200), '']) assert.equal(near.cameBy(other), false, other);
      assert.equal(near.cameBy(LOOPBACK), tells, 'asked again');
      assert.equal((await read(near, 13)).toString(), 'what it sends');
      near.destroy();
      assert.equal(near.cameBy(LOOPBACK), false, 'it is closed');
    });
  }

  test(`${engine.name}: a dialled connection arrived on none`, async () => {
    const { near, far } = await dialled(engine);
    assert.equal(near.cameBy(LOOPBACK), false);
    near.destroy();
    far.destroy();
  });

  test(`${engine.name}: sockets bound to an interface, ${tells ? 'and fail without it' : 'which it cannot make'}`, async () => {
    const ignore = { received: () => undefined, failed: () => undefined };
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const to = { host: '127.0.0.1', port };
    const kinds: readonly ((device: string) => Promise<Disposable | AsyncDisposable>)[] = [
      (device) => engine.udp(at(device), ignore),
      (device) => engine.listen(at(device), () => undefined, assert.fail),
      async (device) => {
        const connection = await engine.connect(to, { timeout: 5000, from: at(device).host });
        assert.equal(connection.local.host, '127.0.0.1');
        return { [Symbol.dispose]: () => connection.destroy() };
      },
    ];
    assert.equal(engine.deviceFault() === undefined, tells);
    for (const kind of kinds) {
      for (const other of ['garter0', 'x'.repeat(200)])
        await assert.rejects(kind(other), { code: tells ? 'EADDRNOTAVAIL' : 'ENOTSUP' });
      if (!tells) await assert.rejects(kind(LOOPBACK), { code: 'ENOTSUP' });
      else {
        await using stack = new AsyncDisposableStack();
        const made = await kind(LOOPBACK);
        if (Symbol.asyncDispose in made) stack.use(made);
        else stack.use(made);
      }
    }
    server.close();
  });
}
