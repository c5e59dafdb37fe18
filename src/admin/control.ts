import type { Attachment } from '../server/attachment.ts';
import { NONE } from '../server/change.ts';
import type { Change } from '../server/change.ts';
import type { Server } from '../server/server.ts';
import type { Settings } from '../server/settings.ts';
import { codeOf } from '../wire/error-code.ts';
import { answerControl } from './control-paths.ts';
import { HttpListener } from './http-listener.ts';
import type { Program } from './program.ts';
import { controlPath } from './runtime-directory.ts';

/** Only the user that garter runs as, and root. */
const MODE = 0o600;

/** The control socket of a server: HTTP and JSON, for `garter status` and its like. */
export class Control implements Attachment {
  readonly #server: Server;
  readonly #program: Program;
  #open: { readonly path: string; readonly listener: HttpListener } | undefined;

  constructor(server: Server, program: Program) {
    this.#server = server;
    this.#program = program;
  }

  async prepare(settings: Settings): Promise<Change> {
    const path = controlPath(settings);
    const open = this.#open;
    if (open?.path === path) return NONE;
    const listener = path === undefined ? undefined : await this.#listen(path, settings);
    const commit = async (): Promise<void> => {
      this.#open = listener && path !== undefined ? { path, listener } : undefined;
      await open?.listener[Symbol.asyncDispose]();
    };
    return { commit, abort: async () => listener?.[Symbol.asyncDispose]() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#open?.listener[Symbol.asyncDispose]();
  }

  /** One that nobody has asked for, such as that of a second server on the machine, may fail. */
  async #listen(path: string, { control }: Settings): Promise<HttpListener | undefined> {
    try {
      return await HttpListener.open({ path, mode: MODE }, (asked) =>
        answerControl(asked, this.#server, this.#program),
      );
    } catch (error) {
      if (control !== undefined) throw error;
      this.#server.log.warn('control-unavailable', { path, code: codeOf(error) });
      return undefined;
    }
  }
}
