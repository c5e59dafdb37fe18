import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { reload, startGarter } from '../support/garter.ts';
import { Command, connectThrough, replyCode, request5, works } from '../support/raw.ts';
import { makeDirectory } from '../support/directory.ts';
import { startEcho } from '../support/targets.ts';

test('a list in a file is read again on reload, and a mistake in it changes nothing', async () => {
  await using echo = await startEcho();
  await using directory = await makeDirectory();
  const list = join(directory.path, 'blocked.txt');
  const filler = Array.from({ length: 100_000 }, (_, i) => `0.0.0.0 host-${i}.example`).join('\n');
  await writeFile(list, filler);
  await using garter = await startGarter({
    config: `
rules:
  - { name: blocked, deny: any, to: [{ file: ${list} }] }
  - { name: all, allow: any, to: [any, loopback] }`,
  });
  await works(garter, echo);
  assert.equal(await replyCode(garter, request5(Command.connect, 'host-99999.example', 80)), 2);
  await garter.record({ destination: 'host-99999.example:80', rule: 'blocked' });
  using open = await connectThrough(garter, echo);

  await writeFile(list, `${filler}\n127.0.0.1/8\n`);
  await reload(garter, undefined, 'not-reloaded');
  const last = (await garter.log()).findLast(({ event }) => event === 'not-reloaded');
  assert.match(JSON.stringify(last), /blocked\.txt:100001:1: error: .+127\.0\.0\.0\/8 for the network/);
  await works(garter, echo);

  await writeFile(list, '127.0.0.0/8\n');
  await reload(garter);
  assert.equal(await replyCode(garter, request5(Command.connect, '127.0.0.1', echo.port)), 2);
  await open.gone();
  await garter.record({ end: 'policy:relay:revoked' });
});
