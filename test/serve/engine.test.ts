import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { startGarter } from '../support/garter.ts';
import { run } from '../support/process.ts';
import { connectThrough } from '../support/raw.ts';
import { startEcho } from '../support/targets.ts';

/** What the fast engine requires, the flags of Node that disable it, and what Node prints then. */
const WITHOUT = {
  'node:ffi': ['--no-experimental-ffi', /^$/],
  'the permission to use it': [
    '--permission --allow-fs-read=* --allow-fs-write=* --allow-net --allow-worker',
    /^(.*[Ww]arning.*\n)+$/,
  ],
} as const;

suite('without', () => {
  for (const [what, [flags, complaint]] of Object.entries(WITHOUT)) {
    test(`${what}: the portable engine, and one line with the reason`, async () => {
      await using echo = await startEcho();
      await using garter = await startGarter({ env: { GARTER_ENGINE: '', NODE_OPTIONS: flags }, complaint });
      using client = await connectThrough(garter, echo);
      client.send('aa');
      await client.expect('aa');
      const lines = (await garter.log()).filter(({ event }) => event === 'started');
      assert.equal(lines.length, 1);
      assert.partialDeepStrictEqual(lines[0], { engine: 'portable', workers: 1 });
      assert.match(JSON.stringify(lines[0]), /the fast one does not work here: /);
    });
  }
});

test('an uncaught error is printed, with threads too', async () => {
  const program = `
    import { createServer } from '${import.meta.resolve('../../src/server.ts')}';
    await createServer({ listen: [{ address: '127.0.0.1:0' }], engine: 'fast', workers: 2 });
    setTimeout(() => { throw new Error('nobody has caught this'); }, 100);
  `;
  const command = [process.execPath, '--input-type=module', '-e', program];
  const { code, stderr } = await run(command);
  assert.match(stderr, /nobody has caught this/);
  assert.equal(code, 1);
});
