import { parseArgs } from 'node:util';
import type { AgentFlags } from '../config/sections/agent.ts';
import { agentSettings } from '../config/load.ts';
import type { Loaded } from '../config/load.ts';
import { maskUrls } from '../config/source/mask.ts';
import { formatProblems } from '../config/source/problem.ts';
import type { Server } from '../server/server.ts';
import type { Settings } from '../server/settings.ts';
import { readQuestion } from '../admin/explain/question.ts';
import type { Question } from '../admin/explain/question.ts';
import { runServer } from './serve.ts';
import type { Io } from './io.ts';
import { outcomeOf } from '../admin/explain/outcome.ts';

const HELP = `Usage: garter agent --upstream URL [--upstream URL]... [--choose HOW] [--login-file FILE] [OPTIONS]
       garter agent --discover DOMAIN [--login-file FILE] [OPTIONS]
       garter agent --config FILE [OPTIONS]
       garter agent ... --to HOST:PORT

Runs a proxy on 127.0.0.1:1080 for the programs on this machine. It forwards to other proxy servers, logs in to them, passes names on
to them, and tries the next one when a server is down. Connections are not logged.

  --upstream URL     a proxy server: socks5h://, socks5://, socks4a://, socks4:// or http://, the same over TLS (socks5h+tls:// and so on),
                     or https://; without a password; may be repeated
  --choose HOW       which of several servers to try first: order (the default), random, round-robin, least-sessions or source-hash
  --discover DOMAIN  use the proxy servers in the SRV records of _socks5._tcp.DOMAIN; with a login file, those of
                     _socks5s._tcp.DOMAIN, over TLS
  --config FILE      configuration file, as for garter serve; the other options for proxy servers cannot be combined with it
  --login-file FILE  NAME:PASSWORD for the servers, in a file that others cannot read
  --direct WHERE     do not use the proxy servers for this name, .suffix, address or network, or private for all private networks; may be
                     repeated. localhost and loopback addresses are always direct.
  --pac              serve a proxy auto-config file to browsers on this machine: http://127.0.0.1:1080/proxy.pac
  --listen ADDR      listen on another loopback address, or unix:/path; may be repeated
  --engine E         auto, fast or portable
  --log-level L      error, warn (the default), info or debug
  --to HOST:PORT     show what the agent would do with this destination, without starting it
  -h, --help         show this help

Environment variables, used if no flag says otherwise: GARTER_UPSTREAM, comma-separated URLs, which may contain user names and passwords,
or GARTER_DISCOVER, a domain; GARTER_LISTEN and GARTER_ENGINE.

Signals: as for garter serve; SIGHUP also rereads the login file.

Exit status: 0 stopped or allowed, 1 could not start or refused, 2 usage or configuration error.

Example: garter agent --upstream socks5h://proxy.example.org:1080 --direct .intranet.example.org
`;

export async function agent(args: readonly string[], io: Io): Promise<number> {
  let options: Options;
  try {
    options = readOptions(args);
  } catch (error) {
    io.stderr.write(`garter agent: ${maskUrls((error as Error).message)}; see garter agent --help\n`);
    return 2;
  }
  if (options.help) {
    io.stdout.write(HELP);
    return 0;
  }
  const { config, flags, question } = options;
  const load = (): Loaded => agentSettings(config, flags, io.env);
  if (question !== undefined) return answer(question, load(), io);
  return runServer(load, io, config === undefined ? { welcome } : { config });
}

interface Options {
  readonly help: boolean;
  readonly config: string | undefined;
  readonly flags: AgentFlags;
  readonly question: Question | undefined;
}

function readOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      config: { type: 'string' },
      upstream: { type: 'string', multiple: true },
      choose: { type: 'string' },
      discover: { type: 'string' },
      'login-file': { type: 'string' },
      direct: { type: 'string', multiple: true },
      pac: { type: 'boolean' },
      listen: { type: 'string', multiple: true },
      engine: { type: 'string' },
      'log-level': { type: 'string' },
      to: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  const { help = false, config, to, 'login-file': loginFile, 'log-level': logLevel, ...rest } = values;
  return {
    help,
    config,
    flags: {
      ...rest,
      ...(loginFile !== undefined && { loginFile }),
      ...(logLevel !== undefined && { logLevel }),
    },
    question: to === undefined ? undefined : readQuestion({ from: '127.0.0.1', to }, Date.now()),
  };
}

/** Answers for a local program, which presents neither password nor certificate. */
async function answer(question: Question, { settings, errors, warnings }: Loaded, io: Io): Promise<number> {
  io.stderr.write(formatProblems(errors, 'error') + formatProblems(warnings, 'warning'));
  if (settings === undefined) return 2;
  const { allowed, text } = await outcomeOf(settings, [], question);
  io.stdout.write(text);
  return allowed ? 0 : 1;
}

/** Commands to try it with. */
function welcome({ places: [at] }: Server, { listeners: [first] }: Settings): string {
  const lines = [
    `curl -x socks5h://${at} https://www.example.com/`,
    first?.pac === true
      ? `chromium --proxy-pac-url=http://${at}/proxy.pac`
      : `chromium --proxy-server=socks5://${at}`,
  ];
  return `
Programs on this machine can now use ${at}. Press Ctrl-C to stop. To try it:

${lines.map((line) => `  ${line}\n`).join('')}
`;
}
