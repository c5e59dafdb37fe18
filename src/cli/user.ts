import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { hashPassword, verifyPassword } from '../auth/argon2.ts';
import { editUsers, loadUsers, UsersFileError } from '../auth/users-disk.ts';
import {
  dayFault,
  formatFaults,
  groupFault,
  isExpired,
  nameFault,
  parseUsers,
  passwordFault,
  removeUser,
  setUser,
} from '../auth/users-file.ts';
import type { User } from '../auth/users-file.ts';
import { askPassword, pipedPassword } from './password.ts';
import type { Io as Streams } from './password.ts';

const HELP = `Usage: garter user add NAME --file FILE [--group G,G] [--expires DAY] [--disable] [--stdin | --generate]
       garter user set NAME --file FILE [--group G,G] [--expires DAY] [--disable | --enable]
       garter user remove NAME --file FILE
       garter user list --file FILE
       garter user verify NAME --file FILE [--stdin]

Manages the users file of a garter server. add sets a password, set changes everything else.

  --file FILE     users file, by default $GARTER_USERS; add creates it if necessary, readable only by its owner
  --group G,G     the user's groups, written @G in rules; "" for none
  --expires DAY   the last day on which the user may log in, in UTC, such as 2027-01-31; "" for none
  --disable       the user cannot log in, and open sessions end
  --enable        the user can log in again
  --stdin         read the password from the first line of standard input instead of asking for it
  --generate      make a random password, and print it on standard output
  -h, --help      show this help

For an existing user, add replaces the password, and keeps everything else unless it is given.
A running server applies changes within about a second.

Exit status: 0 success, 1 wrong password or no such user, 2 usage error or faulty file, 130 interrupted.

Examples: garter user add alice --file users.txt --group staff
          garter user set alice --file users.txt --disable
`;

const OPTIONS = {
  file: { type: 'string' },
  group: { type: 'string', multiple: true },
  expires: { type: 'string' },
  disable: { type: 'boolean' },
  enable: { type: 'boolean' },
  stdin: { type: 'boolean' },
  generate: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;

type Action = 'add' | 'set' | 'remove' | 'list' | 'verify';

/** The options of each action. */
const ALLOWED: Readonly<Record<Action, readonly string[]>> = {
  add: ['file', 'group', 'expires', 'disable', 'stdin', 'generate'],
  set: ['file', 'group', 'expires', 'disable', 'enable'],
  remove: ['file'],
  list: ['file'],
  verify: ['file', 'stdin'],
};

interface Command {
  readonly action: Action;
  /** Empty for `list`. */
  readonly name: string;
  readonly file: string;
  readonly groups?: readonly string[];
  /** Empty to remove it. */
  readonly expires?: string;
  readonly disabled?: boolean;
  /** Where the password comes from. */
  readonly password: 'terminal' | 'stdin' | 'generated';
}

/** The standard streams and the environment of the command. */
interface Io extends Streams {
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Ends the command with a message on standard error. */
class Stop extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** Runs `garter user` and returns the exit status. */
export async function user(args: readonly string[], io: Io): Promise<number> {
  try {
    const command = parseCommand(args, io.env);
    io.stdout.write(command === undefined ? HELP : await run(command, io));
    return 0;
  } catch (error) {
    if (!(error instanceof Stop)) throw error;
    io.stderr.write(`${error.message}\n`);
    return error.status;
  }
}

/** `undefined` when help is requested. */
function parseCommand(args: readonly string[], { GARTER_USERS }: Io['env']): Command | undefined {
  const { values, positionals } = parse(args);
  if (values.help) return undefined;
  const [action, name = '', ...more] = positionals;
  if (!isAction(action)) throw usage(`give an action: ${Object.keys(ALLOWED).join(', ')}`);
  const stray = Object.keys(values).find((option) => !ALLOWED[action].includes(option));
  if (stray !== undefined) throw usage(`--${stray} does not go with ${action}`);
  if (more.length > 0) throw usage('give one NAME; a password is never taken from the command line');
  if (action === 'list' ? name !== '' : name === '') {
    throw usage(action === 'list' ? 'list takes no NAME' : `${action} takes a NAME`);
  }
  const file = values.file ?? GARTER_USERS;
  if (!file) throw usage('give the users file: --file FILE');
  if (values.disable && values.enable) throw usage('--disable and --enable exclude each other');
  if (values.stdin && values.generate) throw usage('--stdin and --generate exclude each other');
  const disabled = values.disable ? true : values.enable ? false : undefined;
  const groups = values.group?.flatMap((list) => (list === '' ? [] : list.split(',')));
  if (action === 'set' && groups === undefined && values.expires === undefined && disabled === undefined)
    throw usage('set changes --group, --expires, --disable or --enable; give at least one');
  if (action === 'add' || action === 'set') {
    check('the name', nameFault(name));
    for (const group of groups ?? []) check('the group', groupFault(group));
    if (values.expires) check('the last day', dayFault(values.expires));
  }
  return {
    action,
    name,
    file,
    password: values.stdin ? 'stdin' : values.generate ? 'generated' : 'terminal',
    ...(disabled !== undefined && { disabled }),
    ...(groups !== undefined && { groups }),
    ...(values.expires !== undefined && { expires: values.expires }),
  };
}

/** Runs the command, and returns its output. */
async function run(command: Command, io: Io): Promise<string> {
  const users = await load(command);
  if (command.action === 'list') return users.map((each) => `${describe(each)}\n`).join('');
  const found = users.find((each) => each.name === command.name);
  if (command.action === 'add') return add(command, io, found !== undefined);
  if (found === undefined) throw new Stop(1, `garter user: no user "${command.name}" in ${command.file}`);
  if (command.action === 'verify') return verify(command, io, found);
  if (command.action === 'set') {
    await update(command);
    return `changed ${command.name} in ${command.file}\n`;
  }
  await edit(command.file, (text) => removeUser(text, command.name));
  return `removed ${command.name} from ${command.file}\n`;
}

async function add(command: Command, io: Io, replaces: boolean): Promise<string> {
  const { name, file } = command;
  const generated = command.password === 'generated' ? generatePassword() : undefined;
  const password = generated ?? (await newPassword(command, io, replaces));
  await update(command, await hashPassword(password));
  const done = replaces ? `replaced the password of ${name} in ${file}\n` : `added ${name} to ${file}\n`;
  if (generated === undefined) return done;
  // A script reads the password from standard output.
  io.stderr.write(done);
  return `${generated}\n`;
}

async function newPassword(command: Command, io: Io, replaces: boolean): Promise<string> {
  const prompt = `${replaces ? 'New password' : 'Password'} for ${command.name}: `;
  const password = await readPassword(command, io, prompt);
  check('the password', passwordFault(password));
  if (command.password === 'terminal' && (await readPassword(command, io, 'Once more: ')) !== password) {
    throw new Stop(1, 'garter user: the passwords differ; nothing was changed');
  }
  return password;
}

/** Neither URLs nor shells nor readers mistake these characters; 24 of them have 119 bits. */
const CHARACTERS = 'abcdefghjkmnpqrstuvwxyz23456789';

function generatePassword(): string {
  return Array.from({ length: 24 }, () => CHARACTERS[randomInt(CHARACTERS.length)]).join('');
}

/** Changes what is given, and the hash if there is a new one; everything else stays. */
function update(command: Command, newHash?: string): Promise<void> {
  const { name, file } = command;
  return edit(file, (text) => {
    const old = parseUsers(text).users.find((each) => each.name === name);
    const hash = newHash ?? old?.hash;
    if (hash === undefined) throw new Stop(1, `garter user: no user "${name}" in ${file}`);
    const groups = command.groups ?? old?.groups ?? [];
    const expires = command.expires ?? old?.expires ?? '';
    const disabled = command.disabled ?? old?.disabled === true;
    return setUser(text, {
      name,
      hash,
      groups,
      ...(expires !== '' && { expires }),
      ...(disabled && { disabled }),
    });
  });
}

async function verify(command: Command, io: Io, found: User): Promise<string> {
  const password = await readPassword(command, io, `Password for ${command.name}: `);
  if (!(await verifyPassword(found.hash, password))) throw new Stop(1, 'garter user: wrong password');
  if (found.disabled === true)
    throw new Stop(1, 'garter user: the password is correct, but the user is disabled');
  if (isExpired(found, Date.now())) {
    throw new Stop(1, `garter user: the password is correct, but it expired after ${found.expires}`);
  }
  return 'the password is correct\n';
}

async function readPassword(command: Command, io: Io, prompt: string): Promise<string> {
  if (command.password === 'stdin') return pipedPassword(io);
  if (!io.stdin.isTTY)
    throw usage('standard input is not a terminal; use --stdin to read the password from it');
  const password = await askPassword(io, prompt);
  if (password === undefined) throw new Stop(130, 'garter user: interrupted; nothing was changed');
  return password;
}

async function load({ action, file }: Command): Promise<readonly User[]> {
  const loaded = await loadUsers(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw unusable(file, error);
    if (action !== 'add')
      throw new Stop(2, `garter user: ${file} does not exist; "garter user add" creates it`);
    return { users: [], faults: [] };
  });
  if (loaded.faults.length > 0) throw new Stop(2, formatFaults(file, loaded.faults));
  return loaded.users;
}

function edit(file: string, change: (text: string) => string): Promise<void> {
  return editUsers(file, change).catch((error: NodeJS.ErrnoException) => {
    if (error instanceof Stop) throw error;
    if (error.code !== 'EEXIST') throw unusable(file, error);
    throw new Stop(
      2,
      `garter user: ${error.path} exists: someone is changing the file right now; if not, remove it`,
    );
  });
}

function describe(each: User): string {
  const parts = [each.name];
  if (each.groups.length > 0) parts.push(`groups ${each.groups.join(',')}`);
  if (each.expires !== undefined) {
    parts.push(isExpired(each, Date.now()) ? `expired after ${each.expires}` : `until ${each.expires}`);
  }
  if (each.disabled === true) parts.push('disabled');
  return parts.join('  ');
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
  } catch (error) {
    throw usage(error instanceof Error ? error.message : String(error));
  }
}

function isAction(text: string | undefined): text is Action {
  return text !== undefined && Object.hasOwn(ALLOWED, text);
}

function check(what: string, fault: string | undefined): void {
  if (fault !== undefined) throw usage(`${what} ${fault}`);
}

function usage(message: string): Stop {
  return new Stop(2, `garter user: ${message}\nTry: garter user --help`);
}

function unusable(file: string, error: Error): Stop {
  const names = error instanceof UsersFileError ? error.message : `${file}: ${error.message}`;
  return new Stop(2, `garter user: ${names}`);
}
