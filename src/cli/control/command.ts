import { parseArgs } from 'node:util';
import type { ParseArgsOptionsConfig } from 'node:util';
import { findControl } from '../../admin/runtime-directory.ts';
import { escapeControls } from '../../audit/format.ts';
import type { Settings } from '../../server/settings.ts';
import type { Io } from '../io.ts';
import { askServer, Unreachable } from './request.ts';
import type { Reply } from './request.ts';

/** The options of every command that asks a running server, for its help. */
export const COMMON_HELP = `  --control PATH   its control socket
  --config FILE    its configuration, which says where the control socket is; by default /run/garter/control.sock
  --json           print the answer as JSON
  -h, --help       show this help`;

const COMMON = {
  control: { type: 'string' },
  config: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;

/** A request of the command line to a running server. */
export interface Asking {
  readonly io: Io;
  readonly json: boolean;
  /** The values of the command's own options. */
  readonly values: Readonly<Record<string, string | string[] | boolean | undefined>>;
  readonly positionals: readonly string[];
  /** That of the configuration. */
  readonly pidFile: string | undefined;
  readonly ask: <T>(method: string, path: string) => Promise<Reply<T>>;
}

/** A command that asks a running server. */
export interface ControlCommand {
  readonly name: string;
  readonly help: string;
  /** @default none */
  readonly options?: ParseArgsOptionsConfig;
  /** Whether it has arguments without a name. @default false */
  readonly takesPositionals?: boolean;
  /** Returns the exit status. Rejects with Refused, Usage or Unreachable. */
  readonly run: (asking: Asking) => Promise<number>;
}

/** The command line is wrong. */
export class Usage extends Error {
  override readonly name = 'Usage';
}

/** The server has refused; the message is its own. */
export class Refused extends Error {
  override readonly name = 'Refused';
}

/** Runs the command and returns the exit status: 0 done, 1 not done, 2 usage. */
export async function runControl(
  { name, help, options = {}, takesPositionals = false, run }: ControlCommand,
  args: readonly string[],
  io: Io,
): Promise<number> {
  try {
    const { values, positionals } = parse(args, options, takesPositionals);
    const { control, config, json = false, help: asksHelp, ...own } = values;
    if (asksHelp === true) {
      io.stdout.write(help);
      return 0;
    }
    const keys = await keysOf(config as string | undefined, io);
    const socket = (control as string | undefined)?.replace(/^unix:/, '') ?? findControl(keys, io.env);
    const ask = async <T>(method: string, path: string): Promise<Reply<T>> => {
      if (socket === undefined) throw new Unreachable(`${String(config)} has control: off`);
      return askServer(socket, method, path);
    };
    return await run({ io, json: json === true, values: own, positionals, pidFile: keys.pidFile, ask });
  } catch (error) {
    if (error instanceof Usage) {
      io.stderr.write(`garter ${name}: ${error.message}; see garter ${name} --help\n`);
      return 2;
    }
    if (!(error instanceof Refused || error instanceof Unreachable)) throw error;
    io.stderr.write(`garter ${name}: ${error.message.trimEnd()}\n`);
    return 1;
  }
}

/** One line; text from peers is escaped. */
export function showJson(value: object, { stdout }: Io): void {
  stdout.write(`${escapeControls(JSON.stringify(value))}\n`);
}

/** A query of a URL: `?user=alice`, or nothing. */
export function queryOf(values: Asking['values']): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values))
    for (const one of Array.isArray(value) ? value : value === undefined ? [] : [value])
      query.append(name, String(one));
  return query.size === 0 ? '' : `?${query.toString()}`;
}

/** The value of a reply. Throws Refused. */
export function valueOf<T>(reply: Reply<T>): T {
  if (reply.ok) return reply.value;
  throw new Refused(reply.message);
}

function parse(
  args: readonly string[],
  options: ParseArgsOptionsConfig,
  allowPositionals: boolean,
): {
  readonly values: Readonly<Record<string, string | string[] | boolean | undefined>>;
  readonly positionals: readonly string[];
} {
  try {
    return parseArgs({ args: [...args], options: { ...options, ...COMMON }, allowPositionals });
  } catch (error) {
    throw new Usage((error as Error).message);
  }
}

/** The keys that say where a server with this configuration is found. */
async function keysOf(
  config: string | undefined,
  { env }: Io,
): Promise<Pick<Settings, 'control' | 'stateFile' | 'pidFile'>> {
  if (config === undefined) return {};
  // The schema takes a while to load.
  const { controlIn } = await import('../../config/load.ts');
  const keys = controlIn(config, env);
  if ('where' in keys) throw new Usage(`${config}: ${keys.message}`);
  return keys;
}
