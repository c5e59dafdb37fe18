import { resolve } from 'node:path';
import type { LastReload, Program, ReloadOutcome } from '../admin/program.ts';
import { headingOf, messageOf } from '../audit/events.ts';
import type { EventName } from '../audit/events.ts';
import { formatJson, formatText } from '../audit/format.ts';
import type { Fields } from '../audit/line.ts';
import { UsersFileError } from '../auth/users-disk.ts';
import type { Loaded } from '../config/load.ts';
import { formatProblems } from '../config/source/problem.ts';
import type { Server } from '../server/server.ts';
import type { Io } from './io.ts';
import { Notifier } from './notify.ts';
import { startFault } from './start-fault.ts';

/** Where the settings come from. */
export interface Configuration {
  /** Reads them. */
  readonly load: () => Loaded;
  /** Their file, if there is one. */
  readonly config: string | undefined;
}

/** A running server as signals, systemd and the control socket see it. */
export class Running implements Program {
  readonly #server: Server;
  readonly #load: () => Loaded;
  readonly config: string | undefined;
  readonly #io: Io;
  readonly #notifier: Notifier;
  readonly #ended = Promise.withResolvers<void>();
  #ending = false;
  #lastReload: LastReload | undefined;
  /** The reload that has not begun yet; requests that arrive meanwhile are combined into it. */
  #due: Promise<ReloadOutcome> | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(server: Server, { load, config }: Configuration, io: Io) {
    this.#server = server;
    this.#load = load;
    this.config = config && resolve(config);
    this.#io = io;
    this.#notifier = new Notifier(io.env, (reason) => server.log.warn('systemd-failed', { reason }));
  }

  get lastReload(): LastReload | undefined {
    return this.#lastReload;
  }

  /** Resolves when the server has ended. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** Handles signals from now on, and reports that the server is ready. */
  begin(): void {
    void this.#notifier.ready(this.#status);
    process.on('SIGTERM', () => void this.#endBySignal('SIGTERM'));
    process.on('SIGINT', () => void this.#endBySignal('SIGINT'));
    process.on('SIGHUP', () => void this.reload());
    process.on('SIGUSR2', () => void this.#showSessions());
  }

  reload(): Promise<ReloadOutcome> {
    if (this.#ending) return Promise.resolve({ ok: false, reason: 'ending', report: 'garter is ending' });
    this.#due ??= this.#reloadAfter(this.#last);
    this.#last = this.#due;
    return this.#due;
  }

  end(): void {
    if (!this.#ending) void this.#drain();
  }

  /** A second signal ends the server at once. */
  async #endBySignal(signal: 'SIGTERM' | 'SIGINT'): Promise<void> {
    if (!this.#ending) return this.#drain(signal);
    await this.#server.close();
    this.#hasEnded();
  }

  async #drain(signal?: 'SIGTERM' | 'SIGINT'): Promise<void> {
    this.#ending = true;
    const sessions = (await this.#server.sessions()).length;
    const { drainTime } = this.#server;
    this.#server.log.info('ending', { sessions, drain: drainTime });
    if (signal === 'SIGINT' && sessions > 0) this.#io.stderr.write(farewell(sessions, drainTime));
    const told = this.#notifier.stopping(`${sessions} sessions may finish`);
    await Promise.all([this.#server.drain(), told]);
    this.#hasEnded();
  }

  #hasEnded(): void {
    this.#notifier[Symbol.dispose]();
    this.#ended.resolve();
  }

  async #reloadAfter(last: Promise<unknown>): Promise<ReloadOutcome> {
    await last;
    this.#due = undefined;
    void this.#notifier.reloading();
    const outcome = await this.#reloadNow();
    if (outcome.ok) this.#server.report('reloaded');
    else this.#server.log.error('not-reloaded', { report: outcome.report });
    this.#lastReload = { time: new Date().toISOString(), ok: outcome.ok, report: outcome.report };
    void this.#notifier.ready(this.#status);
    return outcome;
  }

  async #reloadNow(): Promise<ReloadOutcome> {
    const { settings, errors, warnings, obstacles } = this.#load();
    const report = formatProblems(warnings, 'warning');
    if (report !== '') this.#server.log.warn('configuration', { report });
    if (settings === undefined)
      return { ok: false, reason: 'configuration', report: formatProblems(errors, 'error') };
    try {
      await this.#server.reload(settings);
      return { ok: true, report };
    } catch (error) {
      const reason = error instanceof UsersFileError ? 'configuration' : 'failed';
      return { ok: false, reason, report: startFault(error, obstacles()) };
    }
  }

  get #status(): string {
    return `listening on ${this.#server.places.join(', ')}`;
  }

  async #showSessions(): Promise<void> {
    const sessions = await this.#server.sessions();
    const time = new Date().toISOString();
    const isText = this.#server.settings.log.format === 'text';
    const format = (event: EventName, fields: Fields): string =>
      isText
        ? formatText(time, 'info', headingOf(event), fields)
        : formatJson({ time, level: 'info', event, message: messageOf(event), fields });
    const lines = sessions.map((session) => format('session', { ...session }));
    this.#io.stderr.write(lines.join('') + format('sessions', { open: sessions.length }));
  }
}

function farewell(sessions: number, drainTime: number): string {
  const what = sessions === 1 ? '1 open session' : `${sessions} open sessions`;
  return `garter: waiting up to ${drainTime / 1000} s for ${what}; press Ctrl-C again to end at once\n`;
}
