import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { accepted, leavesNothing, read } from '../../../test/support/engines.ts';
import { check } from '../../../test/support/process.ts';
import { FastEngine } from '../fast.ts';

leavesNothing();

test('two engines in one thread, and one that continues alone', async () => {
  const first = await accepted(new FastEngine());
  const second = await accepted(new FastEngine());
  for (const { near, far } of [first, second, first]) {
    far.write('x');
    assert.equal((await read(near, 1)).toString(), 'x');
  }
  second.near.destroy();
  await once(second.far.resume(), 'end');
  second.far.destroy();
  first.far.write('y');
  assert.equal((await read(first.near, 1)).toString(), 'y');
  first.near.destroy();
  first.far.destroy();
});

test('when one watcher throws, the others still get their events', async () => {
  const script = `
    import { accepted, read } from '${import.meta.resolve('../../../test/support/engines.ts')}';
    import { FastEngine } from '${import.meta.resolve('../fast.ts')}';
    const engine = new FastEngine();
    const [first, second] = [await accepted(engine), await accepted(engine)];
    const thrown = Promise.withResolvers();
    process.on('uncaughtException', thrown.resolve);
    first.near.changed = () => { throw new Error('first'); };
    first.far.write('x');
    second.far.write('y');
    console.log(String(await read(second.near, 1)), (await thrown.promise).message);
    process.exit();`;
  const command = [process.execPath, '--input-type=module', '-e', script];
  assert.equal(await check(command), 'y first\n');
});
