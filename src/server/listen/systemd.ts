/** The first descriptor that systemd passes (sd_listen_fds(3)). */
const FIRST = 3;
/** More than is ever passed in practice. */
const MAX_DESCRIPTORS = 1024;

/**
 * The sockets that systemd passed to this process. They have one owner: the variables that name them are
 * removed from `env`, so that no other code uses a descriptor that has since been closed and reused.
 */
export class ActivatedSockets {
  readonly #count: number;
  readonly #names: readonly string[];
  /** Descriptors that a listener has used: once it is closed, the number may belong to another file. */
  readonly #used = new Set<number>();

  constructor(env: NodeJS.ProcessEnv = process.env) {
    const { LISTEN_PID, LISTEN_FDS = '', LISTEN_FDNAMES = '' } = env;
    this.#count = LISTEN_PID === String(process.pid) && /^\d+$/.test(LISTEN_FDS) ? Number(LISTEN_FDS) : 0;
    this.#names = LISTEN_FDNAMES.split(':');
    if (this.#count === 0) return;
    for (const variable of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) delete env[variable];
  }

  /**
   * The sockets with this name (`FileDescriptorName=` of the socket unit, by default the unit's own name), or
   * all of them; each only once. Throws when there is none.
   */
  take(name: string): { readonly fd: number }[] {
    const place = name === '' ? 'systemd' : `systemd:${name}`;
    if (this.#count > MAX_DESCRIPTORS)
      throw new Error(`${place}: LISTEN_FDS is ${this.#count}, but at most ${MAX_DESCRIPTORS} are accepted`);
    const found = Array.from({ length: this.#count }, (_, i) => i)
      .filter((i) => name === '' || this.#names[i] === name)
      .map((i) => FIRST + i);
    if (found.length === 0) {
      const passed =
        this.#count === 0 ? 'systemd passed no socket' : `systemd passed ${this.#names.join(', ')}`;
      throw new Error(`${place}: ${passed}; is the socket unit running?`);
    }
    const again = found.find((fd) => this.#used.has(fd));
    if (again !== undefined) {
      throw new Error(`${place}: descriptor ${again} is already used by another listener`);
    }
    for (const fd of found) this.#used.add(fd);
    return found.map((fd) => ({ fd }));
  }
}
