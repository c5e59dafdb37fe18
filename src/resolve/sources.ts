import { sourceFor } from '../net/source.ts';
import { formatIp, parseIp, type Ip } from '../wire/ip.ts';
import { Cache } from './cache.ts';

/** Milliseconds before a route is looked up again. */
const SOURCE_TTL = 5000;

/** The local addresses used to reach other addresses. */
export class Sources {
  readonly #sourceFor: (host: string) => string | undefined;
  readonly #sources: Cache<{ readonly ip: Ip | undefined }>;

  /**
   * `now`: a monotonic clock in milliseconds. `towards`: returns the local address used to reach a literal
   * one, by default the kernel's choice.
   */
  constructor(limit: number, now: () => number, towards: (host: string) => string | undefined = sourceFor) {
    this.#sourceFor = towards;
    this.#sources = new Cache(limit, now);
  }

  /** `undefined` when the address is unreachable, or the kernel cannot be asked. */
  of(ip: Ip): Ip | undefined {
    const host = formatIp(ip);
    const known = this.#sources.get(host);
    if (known !== undefined) return known.ip;
    try {
      const source = { ip: parseIp(this.#sourceFor(host) ?? '') };
      this.#sources.set(host, { value: source, ttl: SOURCE_TTL });
      return source.ip;
    } catch {
      return undefined; // the kernel cannot be asked at the moment
    }
  }
}
