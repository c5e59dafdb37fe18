import { setTimeout as delay } from 'node:timers/promises';
import type { Status } from '../../admin/status.ts';
import type { Io } from '../io.ts';
import { isRunning, runningIn } from '../pid-file.ts';
import { COMMON_HELP, Refused, runControl, showJson, Usage, valueOf } from './command.ts';
import type { Asking, ControlCommand } from './command.ts';
import { Unreachable } from './request.ts';

/** Seconds, and milliseconds between two looks. */
const PATIENCE = 60;
const INTERVAL = 50;

const STOP: ControlCommand = {
  name: 'stop',
  help: `Usage: garter stop [--control PATH | --config FILE | --pid-file FILE] [--timeout SECONDS] [--json]

Makes the running server accept no more connections, and waits until it has ended: when the open ones have ended, or after
timeouts: drain. With --pid-file, or a pid-file in the configuration, it is found by that file if there is no control socket.

  --pid-file FILE  its pid file; a server that does not run is no error then
  --timeout SECONDS
                   how long to wait; ${PATIENCE} by default
${COMMON_HELP}

Exit status: 0 ended, 1 still running or no server, 2 usage error.

Example: garter stop --pid-file /run/garter.pid
`,
  options: { 'pid-file': { type: 'string' }, timeout: { type: 'string' } },
  async run(asking) {
    const { io, json, values } = asking;
    const seconds = Number(values['timeout'] ?? PATIENCE);
    if (!(seconds >= 0)) throw new Usage(`--timeout ${String(values['timeout'])}: write a number of seconds`);
    const pid = await beginToEnd(asking);
    if (pid !== undefined && !(await ends(pid, seconds)))
      throw new Refused(`process ${pid} is still running`);
    if (json) showJson({ stopped: pid ?? null }, io);
    else io.stdout.write(pid === undefined ? 'not running\n' : 'stopped\n');
    return 0;
  },
};

export function stop(args: readonly string[], io: Io): Promise<number> {
  return runControl(STOP, args, io);
}

/** Its process; `undefined` when it is not running. */
async function beginToEnd({ ask, pidFile, values }: Asking): Promise<number | undefined> {
  const given = values['pid-file'] as string | undefined;
  if (given !== undefined) return signal(given);
  try {
    return valueOf(await ask<Status>('POST', '/v1/drain')).pid;
  } catch (error) {
    if (pidFile === undefined || !(error instanceof Unreachable)) throw error;
    return signal(pidFile);
  }
}

async function ends(pid: number, seconds: number): Promise<boolean> {
  const deadline = performance.now() + seconds * 1000;
  while (isRunning(pid)) {
    if (performance.now() >= deadline) return false;
    await delay(INTERVAL);
  }
  return true;
}

function signal(file: string): number | undefined {
  const pid = runningIn(file);
  if (pid !== undefined) process.kill(pid, 'SIGTERM');
  return pid;
}
