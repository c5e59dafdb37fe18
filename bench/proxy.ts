import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Candidate } from './candidates.ts';

/** A running proxy; disposing of it ends all of its processes. */
export interface Proxy extends AsyncDisposable {
  readonly port: number;
  /** The session of its processes. */
  readonly session: number;
}

const START = 10_000;
const STOP = 3000;

/**
 * Starts a proxy on one core, and resolves when it accepts connections. Its log goes to a file, as in normal
 * use.
 */
export async function start(candidate: Candidate, cpu: number, scratch: string): Promise<Proxy | undefined> {
  if (candidate.command === undefined) return undefined;
  const port = await freePort();
  const logFile = join(scratch, `${candidate.name}.log`);
  const log = openSync(logFile, 'w');
  const [program, ...words] = pinned(cpu, candidate.command(port, scratch));
  const child = spawn(program, words, {
    detached: true, // in a separate session
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  await once(child, 'spawn');
  const session = child.pid;
  if (session === undefined) throw new Error('does not start');
  const proxy = { port, session, [Symbol.asyncDispose]: () => stop(child, session) };
  const deadline = Date.now() + START;
  while (!(await accepts(port))) {
    if (hasEnded(child) || Date.now() > deadline) {
      await stop(child, session);
      throw new Error(`does not listen: ${readFileSync(logFile, 'utf8').trim().slice(-500)}`);
    }
    await sleep(20);
  }
  return proxy;
}

/** A command restricted to one core from the start. */
export function pinned(cpu: number, command: readonly string[]): readonly [string, ...string[]] {
  return ['taskset', '--cpu-list', String(cpu), ...command];
}

/** Terminates the session; processes that remain are killed. */
async function stop(child: ChildProcess, session: number): Promise<void> {
  signal(session, 'SIGTERM');
  const deadline = Date.now() + STOP;
  while (!hasEnded(child) && Date.now() < deadline) await sleep(20);
  signal(session, 'SIGKILL');
  while (!hasEnded(child)) await once(child, 'exit');
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/** A session leader also leads its process group. */
function signal(group: number, name: NodeJS.Signals): void {
  try {
    process.kill(-group, name);
  } catch (error) {
    if (codeOf(error) !== 'ESRCH') throw error;
  }
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch (error) {
    if (codeOf(error) !== 'ECONNREFUSED') throw error;
    return false;
  } finally {
    socket.destroy();
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  if (address === null || typeof address === 'string') throw new Error('no port is free');
  return address.port;
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
