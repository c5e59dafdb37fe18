import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { schema } from './schema.ts';

async function run(...args: readonly string[]): Promise<{ status: number; out: string; err: string }> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const status = await schema(args, { stdout, stderr });
  return { status, out: String(stdout.read() ?? ''), err: String(stderr.read() ?? '') };
}

test('the schema is JSON, with every section', async () => {
  const { status, out, err } = await run();
  assert.deepEqual([status, err], [0, '']);
  const { $schema, properties } = JSON.parse(out) as { $schema: string; properties: object };
  assert.equal($schema, 'http://json-schema.org/draft-07/schema#');
  assert.deepEqual(Object.keys(properties).toSorted(), [
    'accept',
    'control',
    'engine',
    'health',
    'limits',
    'listen',
    'log',
    'nat64',
    'pac',
    'pid-file',
    'resolve',
    'revoke',
    'routes',
    'rules',
    'run-as',
    'state',
    'timeouts',
    'upstreams',
    'users',
    'workers',
  ]);
});

test('help and wrong usage', async () => {
  assert.match((await run('--help')).out, /Example: garter schema /);
  const { status, err } = await run('garter.yaml');
  assert.equal(status, 2);
  assert.match(err, /garter schema --help/);
});
