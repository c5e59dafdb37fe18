import assert from 'node:assert/strict';
import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeDirectory } from '../../test/support/directory.ts';
import { RereadFile } from './reread-file.ts';

test('a file is read again when it has changed, and checked at most every two seconds', async () => {
  await using directory = await makeDirectory();
  const path = join(directory.path, 'file');
  let now = 0;
  const file = new RereadFile(
    path,
    (text) => ({ text }),
    () => now,
  );

  assert.equal(file.value.text, '', 'no file says nothing');
  await writeFile(path, 'one');
  assert.equal(file.value.text, '', 'not looked at yet');
  now = 2000;
  assert.equal(file.value.text, 'one');

  const before = file.value;
  now = 4000;
  assert.equal(file.value, before, 'the same object while nothing changes');

  await writeFile(join(directory.path, 'new'), '\u{feff}two');
  await rename(join(directory.path, 'new'), path);
  now = 6000;
  assert.equal(file.value.text, 'two');

  await rm(path);
  now = 8000;
  assert.equal(file.value.text, '');
});

test('an unreadable file counts as empty', async () => {
  await using directory = await makeDirectory();
  assert.equal(
    new RereadFile(
      directory.path,
      (text) => text,
      () => 0,
    ).value,
    '',
  );
});
