import type { Status } from '../../admin/status.ts';
import type { Io } from '../io.ts';
import { COMMON_HELP, runControl, showJson, valueOf } from './command.ts';
import type { ControlCommand } from './command.ts';

const STATUS: ControlCommand = {
  name: 'status',
  help: `Usage: garter status [--control PATH | --config FILE] [--json]

Shows whether a server runs, where it listens, what is wrong with it, and how its last reload went.

${COMMON_HELP}

Exit status: 0 ready for clients, 1 not ready or no server, 2 usage error.

Example: garter status
`,
  async run({ ask, io, json }) {
    const now = valueOf(await ask<Status>('GET', '/v1/status'));
    if (json) showJson(now, io);
    else io.stdout.write(describeStatus(now));
    return now.ready ? 0 : 1;
  },
};

export function status(args: readonly string[], io: Io): Promise<number> {
  return runControl(STATUS, args, io);
}

function describeStatus(now: Status): string {
  const { reload, sessions, workers } = now;
  const lines: [string, string][] = [
    ['garter', `${now.version}, process ${now.pid}, ${now.engine} engine, Node ${now.node}`],
    ['state', now.ending ? 'ending' : now.ready ? 'ready' : 'not ready'],
    ...now.faults.map((fault): [string, string] => ['fault', fault]),
    ['since', `${now.started} (${span(now.uptime)})`],
    ['config', now.config ?? 'none'],
  ];
  if (reload !== undefined) lines.push(['reload', `${reload.ok ? 'done' : 'failed'} at ${reload.time}`]);
  const threads = workers.length > 1 ? `: ${workers.join(' + ')}` : '';
  lines.push(
    ['listening', now.listeners.join(', ')],
    ['sessions', `${sessions.open} of ${sessions.max}${threads}`],
    ['memory', `${Math.round(now.memory.resident / 2 ** 20)} MiB`],
  );
  const report = reload?.ok === false ? reload.report : '';
  return lines.map(([name, text]) => `${name.padEnd(10)} ${text}\n`).join('') + report;
}

/** `3 d 4 h`, from seconds. */
function span(seconds: number): string {
  const parts = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ] as const;
  const first = parts.findIndex(([count]) => count > 0);
  const shown = parts.slice(first < 0 ? 3 : first, first < 0 ? 4 : first + 2);
  return shown.map(([count, unit]) => `${count} ${unit}`).join(' ');
}
