import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import type { Line } from '../line.ts';
import { faultOf } from '../sink.ts';
import type { WriteOutcome, Sink } from '../sink.ts';
import { sendAll } from './send.ts';
import { cut, formatPriority, MESSAGE_LIMIT } from './syslog.ts';
import type { Facility } from './syslog.ts';

/**
 * Prints `ready` if there is a syslog, which logger checks before it reads. Ignores signals sent to a whole
 * service or terminal: they are meant for garter, which still has lines to log. Exits at end of input.
 */
const COMMAND = 'trap "" HUP INT TERM; logger "$@" </dev/null && echo ready && exec logger "$@"';

/**
 * The local syslog through logger(1), as Node has no unix datagram sockets. logger exits when syslog does:
 * that counts as one lost line, and the next write starts another logger.
 */
export class LoggerSink implements Sink {
  readonly #facility: Facility;
  #logger: ChildProcess | undefined;
  #ended: Error | undefined;
  #busy = false;

  constructor(facility: Facility) {
    this.#facility = facility;
  }

  async write(lines: readonly Line[]): Promise<WriteOutcome> {
    if (this.#ended !== undefined) {
      const fault = faultOf(this.#ended);
      this.#ended = undefined;
      return { taken: 0, lost: 1, fault };
    }
    this.#busy = true;
    try {
      const logger = this.#logger ?? (await this.#start());
      await sendAll(logger.stdin!, Buffer.concat(lines.map((line) => encode(line, this.#facility))));
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
    // A process that does not read would never see the end of input.
    if (this.#busy) logger.kill('SIGKILL');
    logger.unref();
  }

  /** Rejects when it cannot be started, or exits at once. */
  #start(): Promise<ChildProcess> {
    const options = ['--prio-prefix', '--tag=garter', `--id=${process.pid}`, `--size=${MESSAGE_LIMIT}`];
    const logger = spawn('/bin/sh', ['-c', COMMAND, 'sh', ...options, '--socket-errors=on'], {
      env: { PATH: process.env['PATH'] },
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    this.#logger = logger;
    // The error is reported by the write that it fails. With too few descriptors to start the process, there
    // are no pipes.
    logger.stdin?.on('error', () => {});
    return new Promise((resolve, reject) => {
      let ready = false;
      logger.stdout?.once('data', () => {
        ready = true;
        logger.stdout?.destroy();
        resolve(logger);
      });
      const end = (error: Error): void => {
        if (this.#logger !== logger) return;
        this.#logger = undefined;
        if (ready) this.#ended = error;
        else reject(error);
      };
      logger.once('error', end);
      logger.once('exit', (code, signal) => end(new Error(`logger-${code ?? signal}`)));
    });
  }
}

const NEWLINE: Buffer = Buffer.from('\n');

function encode({ level, text }: Line, facility: Facility): Buffer {
  return Buffer.concat([cut(Buffer.from(`${formatPriority(facility, level)}${text.slice(0, -1)}`)), NEWLINE]);
}
