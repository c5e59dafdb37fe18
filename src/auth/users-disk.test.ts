import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once, EventEmitter } from 'node:events';
import { appendFileSync } from 'node:fs';
import {
  appendFile,
  chmod,
  chown,
  mkdtempDisposable,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { editUsers, loadUsers, watchUsers } from './users-disk.ts';
import { formatFaults, removeUser } from './users-file.ts';
import type { User } from './users-file.ts';

const HASH = '$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4';
const line = (name: string): string => `${name}:${HASH}\n`;
const asRoot = process.getuid?.() === 0;

const folder = (): ReturnType<typeof mkdtempDisposable> => mkdtempDisposable(join(tmpdir(), 'garter-users-'));

test('loads users, and the faults as data', async () => {
  await using dir = await folder();
  const path = join(dir.path, 'users');
  await writeFile(path, `\u{feff}${line('alice')}bob\n`);
  const { users, faults, version } = await loadUsers(path);
  assert.deepEqual(
    users.map((user) => user.name),
    ['alice'],
  );
  assert.deepEqual(
    faults.map((fault) => fault.line),
    [2],
  );
  assert.equal(version, (await loadUsers(path)).version);
  await assert.rejects(loadUsers(join(dir.path, 'none')), { code: 'ENOENT' });
});

test('a name that is not UTF-8 is a fault of its line', async () => {
  await using dir = await folder();
  const path = join(dir.path, 'users');
  await writeFile(path, Buffer.concat([Buffer.from(line('alice')), Buffer.from(line('b\u{e9}b'), 'latin1')]));
  const { faults } = await loadUsers(path);
  assert.deepEqual(
    faults.map(({ line: at, message }) => [at, message]),
    [[2, 'the name is not UTF-8 text']],
  );
});

for (const [mode, outcome] of [
  [0o600, 'closed'],
  [0o640, 'closed'],
  [0o400, 'closed'],
  [0o644, 'exposed'],
  [0o604, 'exposed'],
  [0o620, 'refused'],
  [0o660, 'refused'],
  [0o602, 'refused'],
  [0o666, 'refused'],
] as const) {
  test(`a file of mode ${mode.toString(8)} is ${outcome}`, async () => {
    await using dir = await folder();
    const path = join(dir.path, 'users');
    await writeFile(path, line('alice'));
    await chmod(path, mode);
    const loading = loadUsers(path);
    if (outcome !== 'refused') return assert.equal((await loading).exposed, outcome === 'exposed');
    await assert.rejects(loading, {
      name: 'UsersFileError',
      message: `${path}: users other than its owner can write it: chmod go-w ${path}`,
    });
  });
}

test('a watcher does not load a file that other users can write', async () => {
  await using dir = await folder();
  const path = join(dir.path, 'users');
  await writeFile(path, line('alice'), { mode: 0o600 });
  const { watcher, next } = await watched(path);
  await using _ = watcher;
  const open = async (): Promise<void> => {
    await writeFile(`${path}.new`, line('mallory'));
    await chmod(`${path}.new`, 0o666);
    await rename(`${path}.new`, path);
  };
  assert.match(await next(open), /users: users other than its owner can write it/);
  assert.equal(await next(() => chmod(path, 0o600)), 'mallory');
});

test('UTF-16 is one fault, and not rewritten', async () => {
  await using dir = await folder();
  const path = join(dir.path, 'users');
  await writeFile(path, `\u{feff}${line('alice')}${line('bob')}`, 'utf16le');
  const { users, faults } = await loadUsers(path);
  assert.deepEqual(users, []);
  assert.equal(formatFaults('u', faults), 'u:1:1: this is UTF-16 text: save the file as UTF-8\n  \n  ^');
  await assert.rejects(
    editUsers(path, (text) => text),
    /is UTF-16 text: save it as UTF-8/,
  );
});

test('a new file is readable by its owner only; nothing is left beside it', async () => {
  await using dir = await folder();
  const path = join(dir.path, 'users');
  await editUsers(path, (text) => `${text}${line('alice')}`);
  assert.equal(await readFile(path, 'utf8'), line('alice'));
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.deepEqual(await readdir(dir.path), ['users']);
});

test('an old file keeps its mode, and is replaced, not written over', async () => {
  await using dir = await folder();
  const path = join(dir.path, 'users');
  await writeFile(path, line('alice') + line('bob'));
  await chmod(path, 0o640);
  const old = await stat(path);
  await editUsers(path, (text) => removeUser(text, 'alice'));
  const now = await stat(path);
  assert.equal(await readFile(path, 'utf8'), line('bob'));
  assert.equal(now.mode & 0o777, 0o640);
  assert.notEqual(now.ino, old.ino);
});

test('an old file keeps its owner', { skip: !asRoot && 'needs root' }, async () => {
  await using dir = await folder();
  const path = join(dir.path, 'users');
  await writeFile(path, '');
  await chown(path, 65534, 65534);
  await editUsers(path, () => line('alice'));
  const { uid, gid } = await stat(path);
  assert.deepEqual([uid, gid], [65534, 65534]);
});

test('a symbolic link stays one', async () => {
  await using dir = await folder();
  await writeFile(join(dir.path, 'real'), '');
  await symlink('real', join(dir.path, 'users'));
  await editUsers(join(dir.path, 'users'), () => line('alice'));
  assert.equal(await readFile(join(dir.path, 'real'), 'utf8'), line('alice'));
  assert.deepEqual((await readdir(dir.path)).toSorted(), ['real', 'users']);
});

test('an edit that fails leaves the file, and no draft', async () => {
  await using dir = await folder();
  const path = join(dir.path, 'users');
  await writeFile(path, line('alice'));
  const edit = editUsers(path, () => {
    throw new Error('no');
  });
  await assert.rejects(edit, /no/);
  assert.equal(await readFile(path, 'utf8'), line('alice'));
  assert.deepEqual(await readdir(dir.path), ['users']);
});

test('a second writer is kept out, and leaves the draft of the first alone', async () => {
  await using dir = await folder();
  const path = join(dir.path, 'users');
  await writeFile(`${path}.lock`, 'draft');
  await assert.rejects(
    editUsers(path, () => line('alice')),
    { code: 'EEXIST' },
  );
  assert.equal(await readFile(`${path}.lock`, 'utf8'), 'draft');
});

test('a file that is not UTF-8 is not rewritten', async () => {
  await using dir = await folder();
  const path = join(dir.path, 'users');
  const bytes = Buffer.from('# caf\u{e9}\n', 'latin1');
  await writeFile(path, bytes);
  await assert.rejects(
    editUsers(path, (text) => text),
    /is not UTF-8 text/,
  );
  assert.deepEqual(await readFile(path), bytes);
});

/**
 * A watched file, and the watcher's next report. The watcher checks so often that a file must change in one
 * step.
 */
async function watched(path: string) {
  const said = new EventEmitter();
  const { version } = await loadUsers(path);
  const watcher = watchUsers(path, {
    version,
    interval: 5,
    changed: (users: readonly User[]) => said.emit('said', users.map((user) => user.name).join(' ')),
    failed: (report) => said.emit('said', report),
  });
  const next = async (act: () => Promise<unknown>): Promise<string> => {
    const news = once(said, 'said');
    await act();
    const [what] = await news;
    return String(what);
  };
  return { watcher, said, next };
}

test('a watcher follows the file through rewriting, replacement, faults and absence', async () => {
  await using dir = await folder();
  const path = join(dir.path, 'users');
  const other = join(dir.path, 'other');
  await writeFile(path, line('alice'));
  const { watcher, next } = await watched(path);
  await using _ = watcher;

  assert.equal(await next(() => appendFile(path, line('bob'))), 'alice bob');
  assert.equal(await next(() => editUsers(path, () => line('carol'))), 'carol');
  assert.match(
    await next(() => appendFile(path, 'alice:secret\n')),
    /^.*users:2:7: the part after the name is no/,
  );
  assert.equal(await next(() => editUsers(path, () => line('dave'))), 'dave');
  assert.match(await next(() => rm(path)), /users: ENOENT/);
  await writeFile(other, line('erin'));
  assert.equal(await next(() => rename(other, path)), 'erin');
  await writeFile(other, line('frank'));
  await symlink('other', `${path}.link`);
  assert.equal(await next(() => rename(`${path}.link`, path)), 'frank');
  assert.equal(await next(() => writeFile(other, line('grace'), { flag: 'r+' })), 'grace');
});

test('a change between loading and watching is seen', async () => {
  await using dir = await folder();
  const path = join(dir.path, 'users');
  await writeFile(path, line('alice'));
  const { version } = await loadUsers(path);
  await writeFile(path, line('bob') + line('carol'));
  const seen = Promise.withResolvers<readonly User[]>();
  await using _ = watchUsers(path, { version, interval: 5, changed: seen.resolve, failed: seen.reject });
  assert.deepEqual(
    (await seen.promise).map((user) => user.name),
    ['bob', 'carol'],
  );
});

test('an error of the changed callback is reported, and watching continues', async () => {
  await using dir = await folder();
  const path = join(dir.path, 'users');
  await writeFile(path, line('alice'));
  const { version } = await loadUsers(path);
  const said = new EventEmitter();
  await using _ = watchUsers(path, {
    version,
    interval: 5,
    changed: (users) => {
      if (users.length === 2) throw new Error('not these');
      said.emit('said', users[0]?.name);
    },
    failed: (report) => said.emit('said', report),
  });
  const failure = once(said, 'said');
  await appendFile(path, line('bob'));
  assert.deepEqual(await failure, [`${path}: not these`]);
  const change = once(said, 'said');
  await editUsers(path, () => line('dave'));
  assert.deepEqual(await change, ['dave']);
});

test('a closed watcher reports nothing', async () => {
  await using dir = await folder();
  const path = join(dir.path, 'users');
  await writeFile(path, line('alice'));
  const { watcher, said } = await watched(path);
  said.on('said', (what) => assert.fail(`said ${String(what)}`));
  // At once, before the next check.
  appendFileSync(path, line('bob'));
  await watcher[Symbol.asyncDispose]();
  // The time of twenty checks.
  await new Promise((resolve) => setTimeout(resolve, 100));
});

test('a watcher keeps no process alive', async () => {
  const program = `
    const { watchUsers } = await import(${JSON.stringify(new URL('users-disk.ts', import.meta.url))});
    watchUsers('none', { version: '', changed() {}, failed() {} });`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: 'ignore',
    timeout: 30_000,
  });
  assert.deepEqual(await once(child, 'exit'), [0, null]);
});
