import assert from 'node:assert/strict';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeDirectory } from '../../../test/support/directory.ts';
import { settingsFromObject } from '../load.ts';
import { readSecret } from './secret.ts';

const MODES = { skip: process.platform === 'win32' };

test('the secret in a file, without its line ending', MODES, async () => {
  await using directory = await makeDirectory();
  const file = join(directory.path, 'secret');
  for (const [text, secret] of [
    ['hunter2', 'hunter2'],
    ['hunter2\n', 'hunter2'],
    ['hunter2\r\n', 'hunter2'],
    [' hunter2 \n\n', ' hunter2 \n'],
    ['\u{feff}hunter2\r\n', 'hunter2'],
    ['hunter2\u{feff}\n', 'hunter2\u{feff}'],
  ] as const) {
    await writeFile(file, text, { mode: 0o640 });
    assert.equal(readSecret(file), secret);
  }
});

test(
  'a file that others can read or write, or that is empty or not there, holds no secret',
  MODES,
  async () => {
    await using directory = await makeDirectory();
    const file = join(directory.path, 'secret');
    await writeFile(file, 'hunter2\n');
    for (const mode of [0o604, 0o602, 0o646]) {
      await chmod(file, mode);
      assert.throws(() => readSecret(file), {
        name: 'ValueError',
        message: /others can read or write/,
        remedy: /chmod o-rw/,
      });
    }
    await chmod(file, 0o600);
    await writeFile(file, '\n');
    assert.throws(() => readSecret(file), { name: 'ValueError', message: /is empty/ });
    for (const order of ['\u{feff}', '\u{fffe}']) {
      await writeFile(file, `${order}hunter2\r\n`, 'utf16le');
      assert.throws(() => readSecret(file), {
        message: `${file} is UTF-16 text`,
        remedy: 'save it as UTF-8',
      });
    }
    await writeFile(file, '\u{feff}\n');
    assert.throws(() => readSecret(file), { name: 'ValueError', message: /is empty/ });
    assert.throws(() => readSecret(directory.path), { name: 'ValueError' });
    assert.throws(() => readSecret(join(directory.path, 'nope')), { name: 'ValueError', message: /ENOENT/ });
  },
);

test('the password of a user comes from such a file', MODES, async () => {
  await using directory = await makeDirectory();
  const file = join(directory.path, 'secret');
  const config = { users: { name: 'alice', password: { file } } };
  await writeFile(file, 'hunter2\n', { mode: 0o600 });
  assert.deepEqual(settingsFromObject(config, false).settings?.users, {
    single: { username: 'alice', password: 'hunter2' },
  });
  await chmod(file, 0o644);
  const { errors } = settingsFromObject(config, false);
  assert.deepEqual(
    errors.map(({ where, remedy }) => [where, remedy]),
    [['users.password', `run chmod o-rw ${file}`]],
  );
});
