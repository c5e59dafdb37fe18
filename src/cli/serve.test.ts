import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { serve } from './serve.ts';

const USAGE: readonly (readonly [string, RegExp])[] = [
  ['a.yaml b.yaml', /^garter serve: give one configuration file; see garter serve --help\n$/],
  ['--config a.yaml b.yaml', /^garter serve: give one configuration file; /],
  ['--bogus', /^garter serve: Unknown option '--bogus'/],
  ['nowhere.yaml', /^nowhere\.yaml: error: there is no such file\n/],
  ['--config nowhere.yaml', /^nowhere\.yaml: error: there is no such file\n/],
];

test('wrong usage, and a file that does not exist', async () => {
  for (const [line, says] of USAGE) {
    const [stdout, stderr] = [new PassThrough(), new PassThrough()];
    assert.equal(await serve(line.split(' '), { stdout, stderr, env: {} }), 2, line);
    assert.match(String(stderr.read()), says);
  }
});
