import { parseArgs } from 'node:util';
import { loadUsers, UsersFileError } from '../auth/users-disk.ts';
import { formatFaults } from '../auth/users-file.ts';
import type { User } from '../auth/users-file.ts';
import type { Obstacle } from '../config/checks/obstacles.ts';
import { loadConfig } from '../config/load.ts';
import { formatProblems, sortProblems } from '../config/source/problem.ts';
import type { Problem } from '../config/source/problem.ts';
import { matchesAll } from '../config/sections/routes.ts';
import type { RouteOptions } from '../route/options.ts';
import { codeOf } from '../wire/error-code.ts';
import type { Settings } from '../server/settings.ts';
import { QUESTION_OPTIONS, UsageError, readQuestion } from '../admin/explain/question.ts';
import type { Question } from '../admin/explain/question.ts';
import type { Io } from './io.ts';
import { outcomeOf } from '../admin/explain/outcome.ts';

const HELP = `Usage: garter check FILE
       garter check FILE --from ADDRESS --to HOST:PORT [--user NAME] [--command C] [--method M] [--protocol P]
                    [--listener NAME] [--address ADDRESS]... [--at TIME]

Reports every mistake in a configuration, with line, column and what to write instead. With --from and --to, shows what the server would
answer to a request: the accept rule, method, rule and route that decide, and where they are written.

  FILE                the configuration file; --config FILE is the same
  --from ADDRESS      the client: 10.0.0.5, or 10.0.0.5:40000 if rules look at its port
  --to HOST:PORT      the destination, as the client would send it
  --user NAME         the user, with groups from the users file; neither password nor certificate is needed
  --command C         connect (the default), bind, udp or resolve
  --method M          the client's method: password, certificate or none; by default none, or any of them with --user
  --protocol P        socks5 (the default), socks4, or http for HTTP CONNECT
  --listener NAME     the listener, by its name or its address, such as 10.0.3.1:1080; by default the first
  --address ADDRESS   use this address for the destination's name instead of resolving it; may be repeated
  --at TIME           2026-11-21T10:00 in this machine's time zone, or with a zone: 2026-11-21T10:00Z; by default now
  -h, --help          show this help

The environment variables of garter serve, such as GARTER_LISTEN, apply here too.

Exit status: 0 valid or allowed, 1 refused, 2 usage or configuration error.

Example: garter check garter.yaml --from 10.0.0.5 --user alice --to www.example.com:443 --at 2026-11-21T10:00
`;

/** Runs `garter check` and returns the exit status. */
export async function check(args: readonly string[], io: Io): Promise<number> {
  try {
    const options = readOptions(args);
    if (options === undefined) {
      io.stdout.write(HELP);
      return 0;
    }
    return await run(options.file, options.question, io);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    io.stderr.write(`garter check: ${error.message}; see garter check --help\n`);
    return 2;
  }
}

async function run(file: string, question: Question | undefined, io: Io): Promise<number> {
  const { settings, errors, warnings, obstacles } = loadConfig(file, {}, io.env);
  const found = obstacles();
  // Without its users file nothing else can be answered.
  const noUsers = found.filter(lacksUsers);
  const others = [...warnings, ...found.filter((one) => !lacksUsers(one))];
  io.stderr.write(
    formatProblems([...errors, ...noUsers], 'error') + formatProblems(sortProblems(others), 'warning'),
  );
  if (settings === undefined || noUsers.length > 0) return 2;
  const users = await readUsers(settings, io);
  if (users === undefined) return 2;
  io.stderr.write(formatProblems(strangers(settings, users), 'warning'));
  if (question === undefined) {
    io.stdout.write(`${file} is fine: ${contents(settings)}\n`);
    return 0;
  }
  const { allowed, text } = await outcomeOf(settings, users, question);
  io.stdout.write(text);
  return allowed ? 0 : 1;
}

function lacksUsers({ path = [], codes }: Obstacle): boolean {
  return path[0] === 'users' && codes.includes('ENOENT');
}

/** The users of the settings; `undefined` when their file is unusable, which is reported. */
async function readUsers({ users }: Settings, { stderr }: Io): Promise<readonly User[] | undefined> {
  const single = users?.single && { name: users.single.username, hash: '', groups: [] };
  const own = single === undefined ? [] : [single];
  if (users?.file === undefined) return own;
  try {
    const { users: read, faults, exposed } = await loadUsers(users.file);
    if (exposed) stderr.write(formatProblems([exposure(users.file)], 'warning'));
    if (faults.length === 0) return [...read, ...own];
    stderr.write(`${formatFaults(users.file, faults)}\n`);
  } catch (error) {
    if (error instanceof UsersFileError) {
      stderr.write(`${error.message}\n`);
      return undefined;
    }
    const code = codeOf(error);
    if (code === undefined) throw error;
    stderr.write(`${users.file}: error: the users file cannot be read\n    ${code}\n`);
  }
  return undefined;
}

function exposure(file: string): Problem {
  return {
    where: file,
    message: 'everyone on this machine can read the hashes in the users file',
    remedy: `chmod o-r ${file}`,
  };
}

/** Users and groups in rules and routes that are missing from the users file. */
function strangers({ policy, routes = [] }: Settings, users: readonly User[]): Problem[] {
  const known = new Set(users.flatMap(({ name, groups }) => [name, ...groups.map((group) => `@${group}`)]));
  return [...policy.rules, ...routes].flatMap(({ user = [], name, origin }) =>
    user
      .filter((one) => users.length > 0 && !known.has(one))
      .map((one) => ({
        where: origin?.file ?? name,
        ...(origin?.line !== undefined && { line: origin.line }),
        message: one.startsWith('@') ? `there is no user in the group ${one}` : `there is no user ${one}`,
        remedy: one.startsWith('@')
          ? `garter user add NAME --group ${one.slice(1)}`
          : `garter user add ${one}`,
      })),
  );
}

function contents({ listeners, policy: { accept, rules }, routes }: Settings): string {
  const isBuiltIn = rules.some(({ origin }) => origin === undefined);
  return [
    count(listeners.length, 'listener'),
    accept === undefined ? 'no accept rules' : count(accept.length, 'accept rule'),
    isBuiltIn ? 'the built-in rules' : count(rules.length, 'rule'),
    ...(routes === undefined ? [] : [describe(routes)]),
  ].join(', ');
}

function describe(routes: readonly RouteOptions[]): string {
  const rest = routes.some(matchesAll) ? '' : '; what none of them matches is refused';
  return `${count(routes.length, 'route')}${rest}`;
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

/** `undefined` when help is requested. */
function readOptions(args: readonly string[]): { file: string; question: Question | undefined } | undefined {
  const { values, positionals } = parse(args);
  const { help, config, ...question } = values;
  if (help) return undefined;
  const [file, ...more] = [...(config === undefined ? [] : [config]), ...positionals];
  if (file === undefined || more.length > 0) throw new UsageError('give one configuration file');
  return {
    file,
    question: Object.keys(question).length === 0 ? undefined : readQuestion(question, Date.now()),
  };
}

function parse(args: readonly string[]): ReturnType<typeof parseOptions> {
  try {
    return parseOptions(args);
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function parseOptions(args: readonly string[]) {
  const options = {
    ...QUESTION_OPTIONS,
    config: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  } as const;
  return parseArgs({ args: [...args], options, allowPositionals: true });
}
