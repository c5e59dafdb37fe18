import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { chooseEngine } from './choose.ts';

test('the fast engine where it works', async () => {
  assert.equal((await chooseEngine('auto')).engine.name, 'fast');
  assert.equal((await chooseEngine('fast')).engine.name, 'fast');
  assert.equal((await chooseEngine('portable')).engine.name, 'portable');
});

test('a worker has the portable one, and can end at any time', async () => {
  const script = `
    import { parentPort } from 'node:worker_threads';
    import { chooseEngine } from '${import.meta.resolve('./choose.ts')}';
    const { engine, why } = await chooseEngine('auto');
    await engine.listen({ host: '127.0.0.1', port: 0 }, () => {}, () => {});
    const { message } = await chooseEngine('fast').catch((error) => error);
    parentPort.postMessage({ name: engine.name, why, message });`;
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(script)}`));
  const [{ name, why, message }] = await once(worker, 'message');
  assert.equal(name, 'portable');
  assert.match(why, /worker that runs it ends/);
  assert.match(message, /worker that runs it ends/);
  await worker.terminate();
});
