import { readVersion } from '../server/version.ts';
import { nameProcess } from './process-name.ts';

const HELP = `Usage: garter COMMAND [OPTIONS]

A SOCKS 4, 4a and 5 proxy server.

  serve      run the server; without a configuration file, on 127.0.0.1:1080
  agent      run a local proxy that forwards to other proxy servers
  connect    connect standard input and output to a host through a proxy
  check      check a configuration, or show what it decides about a request
  user       manage the users file
  status     show how a running server is
  sessions   list the open sessions of a running server
  kill       end sessions of a running server
  explain    show what a running server would answer to a request
  reload     make a running server read its configuration again
  drain      make a running server end when its sessions have
  stop       do so, and wait until it has ended
  schema     print the JSON Schema of the configuration, for editors
  version    print the version

Each command has --help.

Example: garter serve --listen 127.0.0.1:1080
`;

type Run = (args: readonly string[]) => Promise<number>;

/** Each command is loaded on demand, so that none pays for the others. */
const COMMANDS: Readonly<Record<string, () => Promise<Run>>> = {
  serve: async () => {
    const { serve } = await import('./serve.ts');
    return (args) => serve(args, process);
  },
  agent: async () => {
    const { agent } = await import('./agent.ts');
    return (args) => agent(args, process);
  },
  connect: async () => {
    const { connect } = await import('./connect.ts');
    return (args) => connect(args, process);
  },
  check: async () => {
    const { check } = await import('./check.ts');
    return (args) => check(args, process);
  },
  user: async () => {
    const { user } = await import('./user.ts');
    return (args) => user(args, process);
  },
  status: async () => {
    const { status } = await import('./control/status.ts');
    return (args) => status(args, process);
  },
  sessions: async () => {
    const { sessions } = await import('./control/sessions.ts');
    return (args) => sessions(args, process);
  },
  kill: async () => {
    const { kill } = await import('./control/kill.ts');
    return (args) => kill(args, process);
  },
  explain: async () => {
    const { explain } = await import('./control/explain.ts');
    return (args) => explain(args, process);
  },
  drain: async () => {
    const { drain } = await import('./control/drain.ts');
    return (args) => drain(args, process);
  },
  reload: async () => {
    const { reload } = await import('./control/reload.ts');
    return (args) => reload(args, process);
  },
  stop: async () => {
    const { stop } = await import('./control/stop.ts');
    return (args) => stop(args, process);
  },
  schema: async () => {
    const { schema } = await import('./schema.ts');
    return (args) => schema(args, process);
  },
  version: async () => version,
};

async function main([command, ...args]: readonly string[]): Promise<number> {
  if (command === undefined || command === 'help' || command === '--help' || command === '-h') {
    (command === undefined ? process.stderr : process.stdout).write(HELP);
    return command === undefined ? 2 : 0;
  }
  const name = command === '--version' ? 'version' : command;
  const load = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (load === undefined) {
    process.stderr.write(`garter: there is no command ${JSON.stringify(command)}; see garter --help\n`);
    return 2;
  }
  return (await load())(args);
}

async function version(args: readonly string[]): Promise<number> {
  if (args.includes('--help') || args.includes('-h'))
    process.stdout.write('Usage: garter version\n\nExample: garter version\n');
  else process.stdout.write(`garter ${readVersion()} on Node ${process.versions.node}\n`);
  return 0;
}

nameProcess();
// A server keeps running when its output is not read.
process.stderr.on('error', () => {});
// A reader that has seen enough (garter schema | head) is not a failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // A server keeps running, even when its welcome is not read.
  if (!['serve', 'agent'].includes(process.argv[2] ?? '')) process.exit(error.code === 'EPIPE' ? 0 : 1);
});
const status = await main(process.argv.slice(2));
// What a slow reader has not taken yet would end with the process.
process.stdout.write('', () => process.exit(status));
