import { request } from 'node:http';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { check } from '../../src/cli/check.ts';
import { drain } from '../../src/cli/control/drain.ts';
import { explain } from '../../src/cli/control/explain.ts';
import { kill } from '../../src/cli/control/kill.ts';
import { reload } from '../../src/cli/control/reload.ts';
import { sessions } from '../../src/cli/control/sessions.ts';
import { stop } from '../../src/cli/control/stop.ts';
import { status } from '../../src/cli/control/status.ts';
import { OPEN, startGarter } from './garter.ts';
import type { Garter, GarterOptions } from './garter.ts';
import type { Outcome } from './process.ts';

/** A server with a control socket in its own directory. */
export function startControlled(options: GarterOptions = {}): Promise<Garter> {
  return startGarter({ ...options, config: `control: unix:control.sock\n${options.config ?? OPEN}` });
}

export const socketOf = (garter: Garter): string => join(garter.directory, 'control.sock');

type Name = 'check' | 'drain' | 'explain' | 'kill' | 'reload' | 'sessions' | 'status' | 'stop';

const COMMANDS: Readonly<Record<Name, typeof check>> = {
  check,
  drain,
  explain,
  kill,
  reload,
  sessions,
  status,
  stop,
};

/** Runs a command of garter in this process. */
export async function garterRun(name: Name, ...args: readonly string[]): Promise<Outcome> {
  const said = { stdout: '', stderr: '' };
  const stream = (to: keyof typeof said): Writable =>
    new Writable({ decodeStrings: false, write: (text: string, _, done) => ((said[to] += text), done()) });
  const code = await COMMANDS[name](args, { stdout: stream('stdout'), stderr: stream('stderr'), env: {} });
  return { code, ...said };
}

/** Runs a command that asks this server. */
export function command(garter: Garter, name: Name, ...args: readonly string[]): Promise<Outcome> {
  return garterRun(name, '--control', socketOf(garter), ...args);
}

/** The answer to a request over the socket. */
export function ask(
  garter: Garter,
  method: string,
  path: string,
  headers = {},
): Promise<{ status: number; body: { error: { code: string } } }> {
  return new Promise((resolve, reject) => {
    const asking = request({ socketPath: socketOf(garter), method, path, headers }, (response) => {
      let text = '';
      response.on('data', (chunk) => (text += String(chunk)));
      response.on('end', () => resolve({ status: response.statusCode!, body: JSON.parse(text) as never }));
    });
    asking.on('error', reject);
    asking.end();
  });
}
