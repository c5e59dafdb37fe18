import { spawn, type ChildProcess } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';

export interface RunOptions {
  /** Milliseconds. @default PATIENCE */
  readonly timeout?: number;
  readonly input?: string;
}

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a program to its end. Rejects when it cannot be started or takes too long; any exit code is a valid
 * outcome.
 */
export async function run(command: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const { timeout = PATIENCE } = options;
  const child = spawnGroup(command);
  const output = collect(child);
  child.stdin!.on('error', () => undefined); // a program may end without reading its input
  child.stdin!.end(options.input ?? '');
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    killGroup(child, 'SIGKILL');
  }, timeout);
  try {
    const code = await closing(child);
    if (late) throw new Error(`${command.join(' ')}: not done after ${timeout} ms\n${output.all()}`);
    return { code, stdout: output.stdout(), stderr: output.stderr() };
  } finally {
    clearTimeout(timer);
  }
}

/** Like `run`, for a program that must succeed; returns its standard output. */
export async function check(command: readonly string[], options: RunOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await run(command, options);
  if (code !== 0) throw new Error(`${command.join(' ')}: exit code ${code}\n${stdout}${stderr}`);
  return stdout;
}

export interface DaemonOptions {
  /** Matches the output that shows it is ready. */
  readonly ready: RegExp;
  readonly env?: NodeJS.ProcessEnv;
}

/** A program that runs until it is stopped. */
export interface Daemon extends AsyncDisposable {
  readonly pid: number;
  readonly ready: RegExpExecArray;
  readonly stdout: () => string;
  readonly stderr: () => string;
  /** Ignored once the process has ended. */
  readonly signal: (signal: NodeJS.Signals) => void;
  /**
   * The exit code, once the process has ended by itself or by an earlier signal. Rejects when that takes too
   * long.
   */
  readonly ended: () => Promise<number | null>;
}

/** Starts a program and waits until it is ready. Disposing of it ends it and its children. */
export async function start(command: readonly string[], options: DaemonOptions): Promise<Daemon> {
  const child = spawnGroup(command, options.env);
  child.stdin!.end();
  const output = collect(child);
  const closed = closing(child);
  const complaint = (what: string): string => `${command.join(' ')}: ${what}\n${output.all()}`;
  let over = false;
  const setOver = (): void => void (over = true);
  closed.then(setOver, setOver);
  const isReady = async (): Promise<RegExpExecArray | undefined> => {
    if (over) throw new Error(complaint(`ended with ${await closed}`));
    return options.ready.exec(output.all()) ?? undefined;
  };
  let ready: RegExpExecArray;
  try {
    ready = await until(isReady, () => complaint('not ready'));
  } catch (error) {
    killGroup(child, 'SIGKILL');
    throw error;
  }
  return {
    pid: child.pid!,
    ready,
    stdout: output.stdout,
    stderr: output.stderr,
    signal: (signal) => void child.kill(signal),
    ended: async () => {
      await until(
        () => over,
        () => complaint('does not end'),
      );
      return closed;
    },
    [Symbol.asyncDispose]: async () => {
      killGroup(child, 'SIGKILL');
      await closed;
    },
  };
}

/**
 * Milliseconds after which a test stops waiting: not a guarantee of garter, but more than a busy machine
 * needs.
 */
export const PATIENCE = 60_000;

/**
 * Polls every 20 ms until there is an answer (`false` and `undefined` are not); rejects with `complaint()`
 * when that takes too long.
 */
export async function until<T>(
  ask: () => T | false | undefined | Promise<T | false | undefined>,
  complaint: () => string | Promise<string> = () => 'this takes too long',
): Promise<T> {
  const end = performance.now() + PATIENCE;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (performance.now() > end) throw new Error(await complaint());
    await delay(20);
  }
}

/**
 * Starts a separate process group, so that children of the program end with it; at the latest when this
 * process ends.
 */
function spawnGroup(command: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
  const [program, ...args] = command;
  const child = spawn(program!, args, { detached: true, env: { ...process.env, ...env } });
  const end = (): void => killGroup(child, 'SIGKILL');
  // One listener per program: this number of listeners is not a leak.
  process.setMaxListeners(Math.max(process.getMaxListeners(), process.listenerCount('exit') + 2));
  process.once('exit', end);
  child.once('close', () => process.off('exit', end));
  return child;
}

/** The exit code, once all output has been received. */
function closing(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve, reject) => child.once('close', resolve).once('error', reject));
}

function killGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

interface Output {
  readonly stdout: () => string;
  readonly stderr: () => string;
  readonly all: () => string;
}

function collect(child: ChildProcess): Output {
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout!.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr!.on('data', (chunk: Buffer) => stderr.push(chunk));
  return {
    stdout: () => Buffer.concat(stdout).toString(),
    stderr: () => Buffer.concat(stderr).toString(),
    all: () => Buffer.concat([...stdout, ...stderr]).toString(),
  };
}
