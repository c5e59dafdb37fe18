import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import type { Line } from '../line.ts';
import { faultOf } from '../sink.ts';
import type { Outcome, Sink } from '../sink.ts';
import { sendAll } from './send.ts';
import { cut, formatPriority, MESSAGE_LIMIT } from './syslog.ts';

/** Milliseconds in which logger finds out that there is no syslog on this machine. */
const START = 200;
/** Who stops a whole service or terminal means garter, and garter still has lines to log: logger ends at the end of its input. */
const COMMAND = 'trap "" HUP INT TERM; exec logger "$@"';

/**
 * The syslog of this machine through logger(1), as Node has no unix datagrams. It ends when syslog does: that counts as one
 * line lost, and the next write starts another.
 */
export class LoggerSink implements Sink {
  #logger: ChildProcess | undefined;
  #ended: Error | undefined;
  #busy = false;

  async write(lines: readonly Line[]): Promise<Outcome> {
    if (this.#ended !== undefined) {
      const fault = faultOf(this.#ended);
      this.#ended = undefined;
      return { taken: 0, lost: 1, fault };
    }
    this.#busy = true;
    try {
      const logger = this.#logger ?? (await this.#start());
      await sendAll(logger.stdin!, Buffer.concat(lines.map(encode)));
      return { taken: lines.length };
    } catch (error) {
      return { taken: 0, fault: faultOf(error) };
    } finally {
      this.#busy = false;
    }
  }

  close(): void {
    const logger = this.#logger;
    if (logger === undefined) return;
    this.#logger = undefined;
    logger.stdin?.end();
    // One that does not read would never see that end.
    if (this.#busy) logger.kill('SIGKILL');
    logger.unref();
  }

  /** Resolves when it has run for a while, and rejects if it ends before. */
  #start(): Promise<ChildProcess> {
    const options = ['--prio-prefix', '--tag=garter', `--id=${process.pid}`, `--size=${MESSAGE_LIMIT}`];
    const logger = spawn('/bin/sh', ['-c', COMMAND, 'sh', ...options, '--socket-errors=on'], {
      env: { PATH: process.env['PATH'] },
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    this.#logger = logger;
    let started = false;
    const failed = new Promise<never>((_resolve, reject) => {
      const gone = (error: Error): void => {
        if (this.#logger !== logger) return;
        this.#logger = undefined;
        if (started) this.#ended = error;
        else reject(error);
      };
      logger.once('error', gone);
      logger.once('exit', (code, signal) => gone(new Error(`logger-${code ?? signal}`)));
    });
    // The write that it ends tells the error. Where too few descriptors are left to start it, there is no stdin.
    logger.stdin?.on('error', () => {});
    const ready = delay(START).then(() => {
      started = true;
      return logger;
    });
    return Promise.race([ready, failed]);
  }
}

const NEWLINE: Buffer = Buffer.from('\n');

function encode({ level, message }: Line): Buffer {
  return Buffer.concat([cut(Buffer.from(`${formatPriority(level)}${message.slice(0, -1)}`)), NEWLINE]);
}
