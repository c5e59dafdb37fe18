import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { ConnectionRecord } from '../../src/audit/record.ts';
import { hashPassword } from '../../src/auth/argon2.ts';
import { setUser } from '../../src/auth/users-file.ts';
import { makeDirectory } from './directory.ts';
import { start, until, type Daemon } from './process.ts';
import { sized } from './size.ts';
import { Tail } from './tail.ts';

export interface GarterOptions {
  /**
   * The content of garter.yaml other than `listen`, `users` and `log`. Without `workers` there is one thread,
   * or at full size one per core.
   * @default ''
   */
  readonly config?: string;
  /** Lines of the listener other than its address. */
  readonly listener?: readonly string[];
  /** Names and passwords. */
  readonly users?: Readonly<{ [name: string]: string }>;
  /** @default '127.0.0.1' */
  readonly host?: string;
  /** The log destination, instead of a file; there are then no records to read. */
  readonly log?: string;
  /** Expected output on standard error. @default none */
  readonly complaint?: RegExp;
  /** Put in front of the command, such as a network namespace. */
  readonly prefix?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
}

/**
 * A running `garter serve`. Disposing of it stops it as an operator would, and fails if there was any output
 * on standard error.
 */
export interface Garter extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  readonly process: Daemon;
  readonly directory: string;
  /** All lines of the log file so far. */
  log(): Promise<readonly LogLine[]>;
  /** All records so far. */
  records(): Promise<readonly ConnectionRecord[]>;
  /** Waits for a record with these fields and consumes it: no other call returns the same one. */
  record(fields: Partial<ConnectionRecord>): Promise<ConnectionRecord>;
}

/** A record, or a message with any other fields. */
interface LogLine extends Partial<ConnectionRecord> {
  readonly level: string;
  readonly event: string;
  /** Datagrams dropped, in the line of an association. */
  readonly bandwidth?: number;
  readonly limit?: number;
  readonly refused?: number;
  /** Why a login failed. */
  readonly reason?: string;
}

export const garterCommand: string = join(import.meta.dirname, '../../bin/garter');

export async function startGarter(options: GarterOptions = {}): Promise<Garter> {
  const { config = '', host = '127.0.0.1', log: logPath = 'log.jsonl', prefix = [], env = {} } = options;
  await using stack = new AsyncDisposableStack();
  const directory = stack.use(await makeDirectory()).path;
  const configFile = join(directory, 'garter.yaml');
  const logFile = resolve(directory, logPath);
  const text = [
    'listen:',
    `  - address: "${host.includes(':') ? `[${host}]` : host}:0"`,
    ...(options.listener ?? []).map((line) => `    ${line}`),
    ...(options.users === undefined ? [] : ['users: { file: users.txt }']),
    `log: { level: debug, format: json, to: { file: ${logPath} } }`,
    ...(/^workers:/m.test(config) ? [] : [`workers: ${sized('auto', 1)}`]),
    config,
  ].join('\n');
  await writeFile(configFile, text);
  if (options.users !== undefined) {
    let users = '';
    for (const [name, password] of Object.entries(options.users))
      users = setUser(users, { name, hash: await hashPassword(password), groups: [] });
    await writeFile(join(directory, 'users.txt'), users, { mode: 0o600 });
  }
  const daemon = stack.use(
    await start([...prefix, garterCommand, 'serve', '--config', configFile], {
      ready: /^garter listening on \S+:(\d+)$/m,
      env,
    }),
  );
  const tail = new Tail<LogLine>(logFile);
  const log = async (): Promise<readonly LogLine[]> => [...tail.lines()];
  const records = async (): Promise<readonly ConnectionRecord[]> => tail.lines().filter(isRecord);
  const taken = new Set<string>();
  const resources = stack.move();
  return {
    host,
    port: Number(daemon.ready[1]),
    process: daemon,
    directory,
    log,
    records,
    record: async (fields) =>
      until(
        async () => {
          const found = (await records()).find((record) => !taken.has(record.id) && has(record, fields));
          if (found !== undefined) taken.add(found.id);
          return found;
        },
        async () => {
          const lines = (await log()).slice(-20).map((line) => JSON.stringify(line));
          return `no record with ${JSON.stringify(fields)}; the log ends with\n${lines.join('\n')}`;
        },
      ),
    [Symbol.asyncDispose]: async () => {
      try {
        daemon.signal('SIGTERM');
        const code = await daemon.ended();
        assert.match(daemon.stderr(), options.complaint ?? /^$/, 'what garter left on standard error');
        assert.equal(code, 0, 'garter did not end well');
      } finally {
        await resources.disposeAsync();
      }
    },
  };
}

/** Rules that allow everything. */
export const OPEN = 'rules: [{ name: all, allow: any, to: [any, loopback] }]';

/** Changes the configuration, reloads, and waits until the log contains `said`. */
export async function reload(
  garter: Garter,
  change = (text: string): string => text,
  said = 'reloaded',
): Promise<void> {
  const file = join(garter.directory, 'garter.yaml');
  const count = async (): Promise<number> =>
    (await garter.log()).filter(({ event }) => event === said).length;
  const before = await count();
  await writeFile(file, change(await readFile(file, 'utf8')));
  garter.process.signal('SIGHUP');
  await until(
    async () => (await count()) > before,
    async () => `not ${said}, but ${JSON.stringify((await garter.log()).at(-1))}`,
  );
}

function has(record: ConnectionRecord, fields: Partial<ConnectionRecord>): boolean {
  return isDeepStrictEqual({ ...record, ...fields }, record);
}

function isRecord(line: LogLine): line is LogLine & ConnectionRecord {
  return line.end !== undefined;
}
