import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtempDisposable, readFile, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { verifyPassword } from '../auth/argon2.ts';
import { user } from './user.ts';

// "password" (the first vector of argon2.test.ts).
const HASH = '$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4';

interface Outcome {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

/** Runs `garter user` in this process; `FILE` in the arguments is replaced by the users file. */
async function run(line: string, file: string, input: string | Buffer = '', env = {}): Promise<Outcome> {
  const stdin = new PassThrough();
  stdin.end(input);
  return drive(line, file, stdin, env);
}

/** The same on a terminal where these keys are typed. */
async function type(line: string, file: string, ...keys: readonly (string | Buffer)[]): Promise<Outcome> {
  const stdin = new PassThrough();
  const modes: boolean[] = [];
  const setRawMode = (mode: boolean): void => void modes.push(mode);
  for (const key of keys) stdin.write(key);
  const outcome = await drive(line, file, Object.assign(stdin, { isTTY: true, setRawMode }));
  assert.equal(modes.at(-1), false, 'the terminal is left as it was');
  return outcome;
}

async function drive(line: string, file: string, stdin: PassThrough, env = {}): Promise<Outcome> {
  const stdout = new PassThrough({ encoding: 'utf8' });
  const stderr = new PassThrough({ encoding: 'utf8' });
  const args = line.split(' ').filter((word) => word !== '');
  const status = await user(
    args.map((word) => (word === 'FILE' ? file : word)),
    { stdin, stdout, stderr, env },
  );
  return { status, out: String(stdout.read() ?? ''), err: String(stderr.read() ?? '') };
}

async function folder(text?: string) {
  const dir = await mkdtempDisposable(join(tmpdir(), 'garter-user-'));
  const file = join(dir.path, 'users.txt');
  if (text !== undefined) await writeFile(file, text);
  return { file, [Symbol.asyncDispose]: () => dir[Symbol.asyncDispose]() };
}

/** The hash in the file for this name. */
async function hashOf(file: string, name: string): Promise<string> {
  const line = (await readFile(file, 'utf8')).split('\n').find((each) => each.startsWith(`${name}:`));
  return line!.split(':')[1]!;
}

test('add creates the file, for its owner only, and the password verifies', async () => {
  await using dir = await folder();
  const added = await run(
    'add alice --file FILE --stdin --group staff,night --expires 2099-01-31',
    dir.file,
    'hunter2\n',
  );
  assert.deepEqual(added, { status: 0, out: `added alice to ${dir.file}\n`, err: '' });
  assert.equal((await stat(dir.file)).mode & 0o777, 0o600);
  assert.match(
    await readFile(dir.file, 'utf8'),
    /^alice:\$argon2id\$v=19\$m=19456,t=2,p=1\$[^:]+:staff,night:expires=2099-01-31\n$/,
  );
  assert.equal(await verifyPassword(await hashOf(dir.file, 'alice'), 'hunter2'), true);
});

test('a password on standard input may begin with a byte order mark, and end with CRLF', async () => {
  await using dir = await folder();
  assert.equal((await run('add alice --file FILE --stdin', dir.file, '\u{feff}hunter2\r\n')).status, 0);
  assert.equal(await verifyPassword(await hashOf(dir.file, 'alice'), 'hunter2'), true);
  const unicode = Buffer.from('\u{feff}hunter2\r\n', 'utf16le');
  const { status, err } = await run('add bob --file FILE --stdin', dir.file, unicode);
  assert.equal(status, 2);
  assert.match(err, /the password is not UTF-8 text/);
});

test('add for an existing name replaces the password and keeps the rest, unless given', async () => {
  await using dir = await folder(`# ours\nalice:${HASH}:staff:expires=2099-01-31\n`);
  const said = `replaced the password of alice in ${dir.file}\n`;
  const rows: readonly (readonly [string, string])[] = [
    ['', ':staff:expires=2099-01-31'],
    ['--group a --group b,c', ':a,b,c:expires=2099-01-31'],
    ['--expires 2098-12-31', ':a,b,c:expires=2098-12-31'],
    ['--group= --expires=', ''],
  ];
  for (const [options, rest] of rows) {
    const outcome = await run(`add alice --file FILE --stdin ${options}`, dir.file, 'hunter2');
    assert.deepEqual(outcome, { status: 0, out: said, err: '' });
    const hash = await hashOf(dir.file, 'alice');
    assert.notEqual(hash, HASH);
    assert.equal(await readFile(dir.file, 'utf8'), `# ours\nalice:${hash}${rest}\n`);
  }
});

test('set changes what is given, and keeps the password', async () => {
  await using dir = await folder(`# ours\nalice:${HASH}:staff\nbob:${HASH}\n`);
  const rows: readonly (readonly [string, string])[] = [
    ['--disable', ':staff:disabled'],
    ['--group a,b --expires 2099-01-31', ':a,b:expires=2099-01-31:disabled'],
    ['--group= --expires= --enable', ''],
  ];
  for (const [options, rest] of rows) {
    const outcome = await run(`set alice --file FILE ${options}`, dir.file);
    assert.deepEqual(outcome, { status: 0, out: `changed alice in ${dir.file}\n`, err: '' });
    assert.equal(await readFile(dir.file, 'utf8'), `# ours\nalice:${HASH}${rest}\nbob:${HASH}\n`);
  }
});

test('a new password leaves a user disabled', async () => {
  await using dir = await folder(`alice:${HASH}:disabled\n`);
  await run('add alice --file FILE --stdin', dir.file, 'hunter2');
  assert.match(await readFile(dir.file, 'utf8'), /:disabled\n$/);
});

test('add --generate prints a password that verifies, and nothing else, on standard output', async () => {
  await using dir = await folder();
  const [one, two] = [
    await run('add alice --generate --file FILE', dir.file),
    await run('add alice --generate --file FILE', dir.file),
  ];
  assert.match(one.out, /^[a-z2-9]{24}\n$/);
  assert.notEqual(one.out, two.out);
  assert.equal(two.err, `replaced the password of alice in ${dir.file}\n`);
  assert.equal(await verifyPassword(await hashOf(dir.file, 'alice'), two.out.trim()), true);
});

test('GARTER_USERS names the file where --file does not', async () => {
  await using dir = await folder(`alice:${HASH}\n`);
  assert.equal((await run('list', 'unused', '', { GARTER_USERS: dir.file })).out, 'alice\n');
  assert.equal((await run('list --file FILE', dir.file, '', { GARTER_USERS: 'missing' })).out, 'alice\n');
  assert.equal((await run('list', 'unused', '', { GARTER_USERS: '' })).status, 2);
});

test('remove deletes the line', async () => {
  await using dir = await folder(`# ours\nalice:${HASH}\nbob:${HASH}\n`);
  assert.deepEqual(await run('remove alice --file FILE', dir.file), {
    status: 0,
    out: `removed alice from ${dir.file}\n`,
    err: '',
  });
  assert.equal(await readFile(dir.file, 'utf8'), `# ours\nbob:${HASH}\n`);
  assert.deepEqual(await run('remove alice --file FILE', dir.file), {
    status: 1,
    out: '',
    err: `garter user: no user "alice" in ${dir.file}\n`,
  });
});

test('list shows names, groups and last days, and no hash', async () => {
  await using dir = await folder(
    `alice:${HASH}:staff,night:expires=2099-01-31\nbob:${HASH}\ncarol:${HASH}:expires=2001-01-31:disabled\n`,
  );
  assert.deepEqual(await run('list --file FILE', dir.file), {
    status: 0,
    out: 'alice  groups staff,night  until 2099-01-31\nbob\ncarol  expired after 2001-01-31  disabled\n',
    err: '',
  });
});

const VERIFIED: readonly (readonly [string, string, string, number, RegExp])[] = [
  ['the right password', 'alice', 'password\n', 0, /^the password is correct\n$/],
  ['no end of line', 'alice', 'password', 0, /^the password is correct\n$/],
  ['an end of line of Windows', 'alice', 'password\r\n', 0, /^the password is correct\n$/],
  ['more lines', 'alice', 'password\nmore\n', 0, /^the password is correct\n$/],
  ['a wrong password', 'alice', 'Password\n', 1, /^garter user: wrong password\n$/],
  ['a blank too many', 'alice', 'password \n', 1, /^garter user: wrong password\n$/],
  ['nothing', 'alice', '', 1, /^garter user: wrong password\n$/],
  ['an endless line', 'alice', 'x'.repeat(100_000), 1, /^garter user: wrong password\n$/],
  ['an unknown name', 'nobody', 'password\n', 1, /^garter user: no user "nobody" in /],
  [
    'an expired user',
    'old',
    'password\n',
    1,
    /^garter user: the password is correct, but it expired after 2001-01-31\n$/,
  ],
  [
    'a disabled user',
    'off',
    'password\n',
    1,
    /^garter user: the password is correct, but the user is disabled\n$/,
  ],
];

for (const [name, who, input, status, said] of VERIFIED) {
  test(`verify: ${name}`, async () => {
    await using dir = await folder(`alice:${HASH}\nold:${HASH}:expires=2001-01-31\noff:${HASH}:disabled\n`);
    const outcome = await run(`verify ${who} --file FILE --stdin`, dir.file, input);
    assert.equal(outcome.status, status);
    assert.match(status === 0 ? outcome.out : outcome.err, said);
    assert.equal(status === 0 ? outcome.err : outcome.out, '');
  });
}

const WRONG: readonly (readonly [string, RegExp])[] = [
  ['', /give an action: add, set, remove, list, verify/],
  ['frob alice --file FILE', /give an action/],
  ['constructor alice --file FILE', /give an action/],
  ['add --file FILE --stdin', /add takes a NAME/],
  ['list alice --file FILE', /list takes no NAME/],
  ['add alice --stdin', /give the users file: --file FILE/],
  ['add alice hunter2 --file FILE --stdin', /a password is never taken from the command line/],
  ['add alice --password=hunter2 --file FILE', /Unknown option '--password'/],
  ['add alice -phunter2 --file FILE', /Unknown option '-p'/],
  ['list --stdin --file FILE', /--stdin does not go with list/],
  ['verify alice --group a --file FILE', /--group does not go with verify/],
  ['set alice --file FILE', /set changes --group, --expires, --disable or --enable; give at least one/],
  ['set alice --stdin --file FILE', /--stdin does not go with set/],
  ['set alice --disable --enable --file FILE', /--disable and --enable exclude each other/],
  ['add alice --stdin --generate --file FILE', /--stdin and --generate exclude each other/],
  ['set alice --group disabled --file FILE', /the group has the name of the mark of disabled users/],
  ['add @alice --file FILE --stdin', /the name begins with "@"/],
  ['add a:b --file FILE --stdin', /the name contains ":"/],
  ['add alice --group a,,b --file FILE --stdin', /the group is empty/],
  ['add alice --expires tomorrow --file FILE --stdin', /the last day is not a calendar date/],
  ['add alice --file FILE', /not a terminal; use --stdin/],
];

for (const [line, said] of WRONG) {
  test(`wrong usage: ${line || 'nothing'}`, async () => {
    await using dir = await folder();
    const outcome = await run(line, dir.file, 'hunter2\n');
    assert.equal(outcome.status, 2);
    assert.match(outcome.err, said);
    assert.match(outcome.err, /\nTry: garter user --help\n$/);
    assert(!outcome.err.includes('hunter2') && outcome.out === '');
    assert(!existsSync(dir.file));
  });
}

for (const password of ['', '\n', 'x'.repeat(256), 'x'.repeat(5000)]) {
  test(`add refuses a password of ${password.length} bytes`, async () => {
    await using dir = await folder();
    const outcome = await run('add alice --file FILE --stdin', dir.file, password);
    assert.equal(outcome.status, 2);
    assert.match(outcome.err, /^garter user: the password is (empty|longer than 255 bytes)\n/);
    assert(!existsSync(dir.file));
  });
}

test('an invalid file is reported with line, column and caret, without possible passwords, and not changed', async () => {
  const text = `# ours\nalice:hunter2\nbob:${HASH}:a,,b\n`;
  await using dir = await folder(text);
  for (const line of ['add carol --stdin', 'set bob --disable', 'remove bob', 'list', 'verify bob --stdin']) {
    const { status, out, err } = await run(`${line} --file FILE`, dir.file, 'password\n');
    assert.equal(status, 2);
    assert.equal(out, '');
    assert(err.startsWith(`${dir.file}:2:7: the part after the name is not an Argon2id hash`), err);
    assert(err.includes('\n  alice:***\n        ^\n'), err);
    assert(err.endsWith(`:3:${HASH.length + 8}: the group is empty\n  bob:***:a,,b\n            ^\n`), err);
    assert(!err.includes('hunter2') && !err.includes('nf65'), err);
  }
  assert.equal(await readFile(dir.file, 'utf8'), text);
});

test('an unusable file: status 2, and the reason', async () => {
  await using dir = await folder();
  const none = await run('list --file FILE', dir.file);
  assert.deepEqual(none, {
    status: 2,
    out: '',
    err: `garter user: ${dir.file} does not exist; "garter user add" creates it\n`,
  });
  const isFolder = await run('list --file FILE', tmpdir());
  assert.equal(isFolder.status, 2);
  assert.match(isFolder.err, /EISDIR/);
  const nowhere = await run('add alice --stdin --file FILE', join(dir.file, 'users'), 'hunter2');
  assert.equal(nowhere.status, 2);
  assert.match(nowhere.err, /ENOENT/);
  await writeFile(`${dir.file}.lock`, '');
  const locked = await run('add alice --stdin --file FILE', dir.file, 'hunter2');
  assert.equal(locked.status, 2);
  assert.match(locked.err, /users\.txt\.lock exists: someone is changing the file/);
});

test('help has an example', async () => {
  for (const line of ['--help', '-h', 'add --help']) {
    const outcome = await run(line, 'none');
    assert.equal(outcome.status, 0);
    assert.match(outcome.out, /^Usage: garter user add NAME/);
    assert.match(outcome.out, /\nExamples: garter user add /);
  }
});

const TYPED: readonly (readonly [string, readonly (string | Buffer)[], string])[] = [
  ['twice', ['hunter2\r', 'hunter2\r'], 'hunter2'],
  ['in one piece', ['hunter2\nhunter2\n'], 'hunter2'],
  ['key by key', 'hunter2\rhunter2\r'.split(''), 'hunter2'],
  ['with corrections', ['hunx\x7fteå\x7f\x08er2\r', 'wrong\x15hunter2\r'], 'hunter2'],
  ['with other keys', ['hun\tter\x012\r', 'hunter2\r'], 'hunter2'],
  ['in UTF-8', ['\x7fpå€😀x\x7f\r', 'på€😀\r'], 'på€😀'],
  ['in UTF-8, byte by byte', [...Buffer.from('på€\rpå€\r')].map((byte) => Buffer.of(byte)), 'på€'],
];

for (const [name, keys, password] of TYPED) {
  test(`typed ${name}`, async () => {
    await using dir = await folder();
    const outcome = await type('add alice --file FILE', dir.file, ...keys);
    assert.deepEqual(outcome, {
      status: 0,
      out: `added alice to ${dir.file}\n`,
      err: 'Password for alice: \nOnce more: \n',
    });
    assert.equal(await verifyPassword(await hashOf(dir.file, 'alice'), password), true);
  });
}

const UNTYPED: readonly (readonly [string, readonly (string | Buffer)[], number, RegExp])[] = [
  ['two that differ', ['hunter2\r', 'hunter3\r'], 1, /the passwords differ; nothing was changed/],
  ['Ctrl-C', ['hunt\x03'], 130, /interrupted; nothing was changed/],
  ['Ctrl-C the second time', ['hunter2\r', '\x03'], 130, /interrupted; nothing was changed/],
  ['nothing', ['\r'], 2, /the password is empty/],
  ['Ctrl-D', ['\x04'], 2, /the password is empty/],
  ['Latin-1', [Buffer.from('p\u{e5}\r', 'latin1')], 2, /the password is not UTF-8 text/],
];

for (const [name, keys, status, said] of UNTYPED) {
  test(`typed: ${name}`, async () => {
    await using dir = await folder();
    const outcome = await type('add alice --file FILE', dir.file, ...keys);
    assert.equal(outcome.status, status);
    assert.match(outcome.err, said);
    assert(!outcome.err.includes('hunt') && outcome.out === '');
    assert(!existsSync(dir.file));
  });
}

test('verify asks once', async () => {
  await using dir = await folder(`alice:${HASH}\n`);
  assert.deepEqual(await type('verify alice --file FILE', dir.file, 'password\r'), {
    status: 0,
    out: 'the password is correct\n',
    err: 'Password for alice: \n',
  });
});

// `script` of util-linux runs the program on its own terminal, and prints everything shown there.
const noTerminal = process.platform !== 'linux' || !existsSync('/usr/bin/script');

/**
 * Types each answer when its question appears on a real terminal; returns everything shown, and the status.
 */
async function terminal(file: string, line: string, answers: readonly (readonly [string, string])[]) {
  const program = `
    const { user } = await import(${JSON.stringify(new URL('user.ts', import.meta.url))});
    process.exitCode = await user(process.argv.slice(1), process);`;
  const command = [
    process.execPath,
    '--input-type=module',
    '--eval',
    program,
    '--',
    ...line.split(' '),
    '--file',
    file,
  ]
    .map((word) => `'${word}'`)
    .join(' ');
  const child = spawn('/usr/bin/script', ['-qefc', command, '/dev/null'], { timeout: 60_000 });
  let screen = '';
  const waiting = [...answers];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    screen += text;
    const [next] = waiting;
    if (next === undefined || !screen.endsWith(next[0])) return;
    waiting.shift();
    child.stdin.write(next[1]);
  });
  const [status] = await once(child, 'close');
  assert.deepEqual(waiting, [], `all was asked; the terminal shows ${screen}`);
  return { status: Number(status), screen };
}

test(
  'a real terminal shows the questions and no key of the answers',
  { skip: noTerminal && 'needs script' },
  async () => {
    await using dir = await folder();
    const added = await terminal(dir.file, 'add alice', [
      ['Password for alice: ', 'hunter2\r'],
      ['Once more: ', 'hunter2\r'],
    ]);
    assert.equal(added.screen, `Password for alice: \r\nOnce more: \r\nadded alice to ${dir.file}\r\n`);
    assert.equal(added.status, 0);
    assert.equal(await verifyPassword(await hashOf(dir.file, 'alice'), 'hunter2'), true);
  },
);

test('Ctrl-C at a real terminal ends with 130', { skip: noTerminal && 'needs script' }, async () => {
  await using dir = await folder();
  const { status, screen } = await terminal(dir.file, 'add alice', [['Password for alice: ', 'hunt\x03']]);
  assert.equal(screen, 'Password for alice: \r\ngarter user: interrupted; nothing was changed\r\n');
  assert.equal(status, 130);
  assert(!existsSync(dir.file));
});
