import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accepted, dialled, engines, leavesNothing, read } from '../../../test/support/engines.ts';

leavesNothing();

/** Linux gives a connection to an own address to this one; elsewhere there is no fast engine. */
const LOOPBACK = 'lo';

for (const engine of engines) {
  const tells = engine.name === 'fast';

  for (const host of ['127.0.0.1', '::1', '::']) {
    test(`${engine.name}: the interface by which a connection to ${host} came, ${tells ? 'and no other' : 'which it cannot know'}`, async () => {
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

  test(`${engine.name}: one that was dialled came by none`, async () => {
    const { near, far } = await dialled(engine);
    assert.equal(near.cameBy(LOOPBACK), false);
    near.destroy();
    far.destroy();
  });
}
