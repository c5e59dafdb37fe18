import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { prepare, run } from '../../test/support/check.ts';
import { serve } from './serve.ts';

// What this machine lacks: a warning of `garter check`, and the reason why `garter serve` does not start.

/** Each configuration, then line and column, and what is missing. DIR is a folder. */
const OBSTACLES: readonly (readonly [string, string, RegExp])[] = [
  [
    'log: { to: { file: DIR/no/garter.log } }',
    '1:20',
    /there is no folder DIR\/no\n.*\n.*\n +mkdir -p DIR\/no$/,
  ],
  ['state: no/garter.state', '1:8', /there is no folder DIR\/no\n/],
  [
    'listen: unix:/run/garter-no/socks',
    '1:9',
    /\n +mkdir -p \/run\/garter-no, or RuntimeDirectory=garter-no in the/,
  ],
  ['listen: [{ address: unix:users.txt/socks }]', '1:21', /DIR\/users\.txt is not a folder\n/],
  ['log: { to: { file: folder } }', '1:20', /DIR\/folder is a folder\n/],
  [
    'listen: 192.0.2.77:0\naccept: [{ allow: true, from: private }]',
    '1:9',
    /this machine does not have the address 192\.0\.2\.77 now\n.*\n.*\n +write one that it has: .* or 0\.0\.0\.0 for all of them$/,
  ],
  ['health: "[2001:db8::77]:0"', '1:9', /this machine does not have the address 2001:db8::77 now\n/],
];

test('what this machine lacks', async () => {
  for (const [text, place, says] of OBSTACLES) {
    const listen = text.startsWith('listen') ? '' : '\nlisten: 127.0.0.1:0';
    await using prepared = await prepare('');
    await mkdir(join(prepared.path, 'folder'));
    const config = `${text}${listen}\nengine: portable\n`.replaceAll('DIR', prepared.path);
    await writeFile(prepared.file, config);
    const shown = (written: string): string =>
      written.replaceAll(prepared.file, 'FILE').replaceAll(prepared.path, 'DIR');

    const checked = await run('FILE', prepared.file);
    const [warning = ''] = shown(checked.err).split(/\n(?=FILE)/);
    assert(warning.startsWith(`FILE:${place}: warning: `), checked.err);
    assert.match(warning.trimEnd(), says);
    assert.equal(checked.status, 0, text);

    const [stdout, stderr] = [new PassThrough(), new PassThrough()];
    const status = await serve([prepared.file, '--log-level', 'error'], {
      stdout,
      stderr,
      env: {},
    });
    const told = shown(String(stderr.read()));
    assert.equal(told.replace('error', 'warning').trimEnd(), warning.replace(/\n$/, ''), text);
    assert.equal(status, 1, text);
  }
});

test('the user of run-as', async () => {
  await using prepared = await prepare('run-as: no-such-user\n');
  const { status, err } = await run('FILE', prepared.file);
  assert.match(err, /^FILE:1:9: warning: this machine has no user "no-such-user"\n/);
  assert.equal(status, 0);
});
