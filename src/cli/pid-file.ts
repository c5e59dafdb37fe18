import { readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { codeOf } from '../wire/error-code.ts';
import { NAME } from './process-name.ts';

/**
 * Writes the process's id to a file until it is disposed of. A file that a dead process has left is replaced.
 * Throws an Error when the process in it is running, and Node's error when it cannot be written.
 */
export function takePidFile(path: string): Disposable {
  const text = `${process.pid}\n`;
  try {
    write(path, text);
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
    const running = runningIn(path);
    if (running !== undefined)
      throw new Error(`${path}: garter is running already, as process ${running}`, { cause: error });
    unlinkSync(path);
    write(path, text);
  }
  return { [Symbol.dispose]: () => remove(path, text) };
}

/** The process of a pid file, if it is running; `undefined` also where there is no such file. */
export function runningIn(path: string): number | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
  const pid = Number(/^\s*(\d{1,10})\s*$/.exec(text)?.[1] ?? 0);
  // In a container every process may have the same id.
  return pid > 0 && pid !== process.pid && isRunning(pid) && isGarter(pid) ? pid : undefined;
}

export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === 'EPERM';
  }
}

/** The id may belong to another program by now; where that cannot be seen, it is taken for garter. */
function isGarter(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === NAME;
  } catch {
    return true;
  }
}

/** Follows no link that another user may have put there. */
function write(path: string, text: string): void {
  writeFileSync(path, text, { flag: 'wx', mode: 0o644 });
}

/** After `run-as` it may have to stay; it is then replaced at the next start. */
function remove(path: string, text: string): void {
  try {
    if (readFileSync(path, 'utf8') === text) unlinkSync(path);
  } catch {
    // gone already
  }
}
