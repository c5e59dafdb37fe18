import { spawn } from 'node:child_process';

/**
 * Reports the state of the service to systemd (sd_notify(3)), through systemd-notify, as Node has no unix
 * datagram sockets. Does nothing without NOTIFY_SOCKET.
 */
export class Notifier implements Disposable {
  readonly #socket: string | undefined;
  readonly #failed: (reason: string) => void;
  #watchdog: NodeJS.Timeout | undefined;
  /** Serialises the messages: `ready` must not overtake `reloading`. */
  #last: Promise<void> = Promise.resolve();

  /** `failed` receives the reason when systemd could not be notified. */
  constructor(env: NodeJS.ProcessEnv, failed: (reason: string) => void) {
    const { NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID } = env;
    this.#socket = NOTIFY_SOCKET;
    this.#failed = failed;
    const isOurs = WATCHDOG_PID === undefined || WATCHDOG_PID === String(process.pid);
    const interval = isOurs ? Number(WATCHDOG_USEC ?? 0) / 2000 : 0;
    // A timer that fires shows that the event loop is alive.
    if (interval > 0) this.#watchdog = setInterval(() => void this.#tell('WATCHDOG=1'), interval).unref();
  }

  ready(status: string): Promise<void> {
    return this.#tell('--ready', `--status=${status}`);
  }

  reloading(): Promise<void> {
    const [seconds, nanoseconds] = process.hrtime();
    return this.#tell(
      'RELOADING=1',
      `MONOTONIC_USEC=${seconds}${String(nanoseconds).padStart(9, '0').slice(0, 6)}`,
    );
  }

  stopping(status: string): Promise<void> {
    return this.#tell('STOPPING=1', `--status=${status}`);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#watchdog);
  }

  #tell(...what: readonly string[]): Promise<void> {
    if (this.#socket !== undefined) this.#last = this.#tellAfter(this.#last, what, this.#socket);
    return this.#last;
  }

  async #tellAfter(last: Promise<void>, what: readonly string[], socket: string): Promise<void> {
    await last;
    await new Promise<void>((resolve) => {
      const { PATH } = process.env;
      const env = { NOTIFY_SOCKET: socket, ...(PATH !== undefined && { PATH }) };
      const child = spawn('systemd-notify', what, { env, stdio: 'ignore', timeout: 5000 });
      child.on('error', (error) => {
        this.#failed(error.message);
        resolve();
      });
      child.on('exit', (code, signal) => {
        if (code !== 0) this.#failed(`systemd-notify exited with ${code ?? signal}`);
        resolve();
      });
    });
  }
}
