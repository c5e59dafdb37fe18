import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { Control } from '../admin/control.ts';
import { HealthEndpoint } from '../admin/health.ts';
import { tellOnStderr } from '../audit/sinks/file.ts';
import { UsersFileError } from '../auth/users-disk.ts';
import { formatProblems } from '../config/source/problem.ts';
import type { Flags } from '../config/source/flags.ts';
import { loadConfig, settingsFromFlags } from '../config/load.ts';
import type { Loaded } from '../config/load.ts';
import type { Attachment } from '../server/attachment.ts';
import { formatAddress } from '../wire/address.ts';
import { Server } from '../server/server.ts';
import type { StartOptions } from '../server/server.ts';
import type { Settings } from '../server/settings.ts';
import type { Io } from './io.ts';
import { takePidFile } from './pid-file.ts';
import { isRoot, mayRead, startAs } from './run-as.ts';
import { Running } from './running.ts';
import { startFault } from './start-fault.ts';

const HELP = `Usage: garter serve [FILE] [--listen ADDR]... [--users FILE] [--engine auto|fast|portable] [--log-level L]

Runs the SOCKS server until SIGTERM or SIGINT. Without FILE it listens on 127.0.0.1:1080, has no users, and allows all routable
destinations; clients on loopback may reach loopback too.

  FILE             configuration file, see docs/configuration.md; --config FILE is the same
  --listen ADDR    host:port, [v6]:port, interface:port, unix:/path or systemd; port 0 takes any free port; may be repeated
  --users FILE     users file, created with garter user
  --engine E       auto, fast or portable
  --log-level L    error, warn, info or debug
  -h, --help       show this help

Environment variables, for containers: GARTER_LISTEN (comma-separated), GARTER_USERS, GARTER_USER and GARTER_PASSWORD (or
GARTER_PASSWORD_FILE) for a single user without a users file, GARTER_HEALTH, GARTER_LOG_FORMAT and GARTER_ENGINE. Flags override variables, and both override the file.

Signals: SIGHUP reloads configuration and users and reopens the log file; a faulty file changes nothing. SIGTERM and SIGINT stop accepting
connections and let open ones finish (timeouts: drain); a second signal ends garter at once. SIGUSR2 prints the open sessions.

Exit status: 0 stopped, 1 could not start, 2 usage or configuration error.

Example: garter serve --listen 127.0.0.1:1080 --log-level debug
`;

export async function serve(args: readonly string[], io: Io): Promise<number> {
  let options: Options;
  try {
    options = readOptions(args);
  } catch (error) {
    io.stderr.write(`garter serve: ${(error as Error).message}; see garter serve --help\n`);
    return 2;
  }
  if (options.help) {
    io.stdout.write(HELP);
    return 0;
  }
  const { config, flags } = options;
  if (config !== undefined) return runServer(() => loadConfig(config, flags, io.env), io, { config });
  return runServer(() => settingsFromFlags(flags, io.env), io, { welcome });
}

export interface RunOptions {
  /** The configuration file, if there is one. */
  readonly config?: string;
  /** Text to print on a terminal once it listens. */
  readonly welcome?: (server: Server, settings: Settings) => string;
}

/**
 * Runs a server until a signal ends it; `load` returns its settings, also on a reload. Returns the exit
 * status.
 */
export async function runServer(
  load: () => Loaded,
  io: Io,
  { config, welcome: greet }: RunOptions,
): Promise<number> {
  const { settings, errors, warnings, obstacles } = load();
  // Only root can look everywhere, so look before it becomes another user.
  const found = settings?.runAs !== undefined && isRoot() ? obstacles() : undefined;
  const later = (found ?? []).filter(({ codes }) => codes.length === 0);
  io.stderr.write(formatProblems(errors, 'error') + formatProblems([...warnings, ...later], 'warning'));
  if (settings === undefined) return 2;
  using stack = new DisposableStack();
  let server: Server;
  let health: HealthEndpoint;
  let running: Running;
  const attachments = (made: Server): readonly Attachment[] => {
    running = new Running(made, { load, config }, io);
    health = new HealthEndpoint(made);
    return [health, new Control(made, running)];
  };
  try {
    if (settings.pidFile !== undefined) stack.use(takePidFile(settings.pidFile));
    server = await startServer(settings, attachments);
    server.report('started');
  } catch (error) {
    io.stderr.write(startFault(error, found ?? obstacles()));
    return error instanceof UsersFileError ? 2 : 1;
  }
  running!.begin();
  for (const place of server.places) io.stdout.write(`garter listening on ${place}\n`);
  const { at } = health!;
  if (at !== undefined) io.stdout.write(`garter answers /healthz and /readyz on ${formatAddress(at)}\n`);
  if (greet !== undefined && io.stderr.isTTY) io.stderr.write(greet(server, settings));
  await running!.ended;
  return 0;
}

async function startServer(settings: Settings, attachments: StartOptions['attachments']): Promise<Server> {
  const { runAs: user } = settings;
  const options = { complain: tellOnStderr, attachments };
  if (user === undefined) return Server.start(settings, options);
  if (!isRoot()) {
    const server = await Server.start(settings, options);
    server.log.warn('run-as-ignored', { user });
    return server;
  }
  const server = await startAs(user, settings, options);
  if (!mayRead(import.meta.filename))
    server.log.warn('program-unreadable', {
      user,
    });
  return server;
}

interface Options {
  readonly help: boolean;
  readonly config: string | undefined;
  readonly flags: Flags;
}

function readOptions(args: readonly string[]): Options {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      config: { type: 'string' },
      listen: { type: 'string', multiple: true },
      users: { type: 'string' },
      engine: { type: 'string' },
      'log-level': { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  const { help = false, config, listen, users, engine, 'log-level': logLevel } = values;
  return {
    help,
    config: oneFile(positionals, config),
    flags: {
      ...(listen !== undefined && { listen }),
      ...(users !== undefined && { users }),
      ...(engine !== undefined && { engine }),
      ...(logLevel !== undefined && { logLevel }),
    },
  };
}

/** The configuration file, from its flag or without. */
function oneFile(positionals: readonly string[], config: string | undefined): string | undefined {
  const [file, ...more] = [...(config === undefined ? [] : [config]), ...positionals];
  if (more.length > 0) throw new Error('give one configuration file');
  return file;
}

/** What was started without a configuration, and how to try it. */
function welcome({ places: [at] }: Server, { users }: Settings): string {
  const withUsers = users !== undefined;
  const tries = withUsers
    ? [
        `curl -x socks5h://NAME:PASSWORD@${at} https://www.example.com/`,
        `ALL_PROXY=socks5h://NAME:PASSWORD@${at} ssh -o ProxyCommand='${launcher()} connect %h %p' HOST`,
      ]
    : [
        `curl -x socks5h://${at} https://www.example.com/`,
        `ssh -o ProxyCommand='${launcher()} connect --proxy socks5h://${at} %h %p' HOST`,
        `chromium --proxy-server=socks5://${at}`,
      ];
  return `
A SOCKS 4, 4a and 5 proxy for ${withUsers ? 'users with a password' : 'programs on this machine'}. Press Ctrl-C to stop. To try it:

${tries.map((line) => `  ${line}\n`).join('')}
To write rules, see docs/configuration.md, then run garter serve --config garter.yaml

`;
}

/** The command as it can be typed here. */
function launcher(): string {
  const path = relative('', join(import.meta.dirname, '../../bin/garter'));
  return path.startsWith('..') ? 'garter' : path;
}
