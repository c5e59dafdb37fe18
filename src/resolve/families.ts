import type { Ip } from '../wire/ip.ts';

/** Milliseconds that IPv4 addresses wait for a slower IPv6 answer (RFC 8305 section 3). */
export const RESOLUTION_DELAY = 50;

/**
 * The addresses of both families; IPv4 alone if IPv6 is slower by more than the resolution delay. The delay
 * applies only when some IPv4 address is usable, since a host without IPv4 needs the IPv6 answer. Rejects
 * when nothing was found and a lookup failed.
 */
export function joinFamilies(
  ipv6: Promise<readonly Ip[]>,
  ipv4: Promise<readonly Ip[]>,
  isUsable: (ip: Ip) => boolean,
  delay: number = RESOLUTION_DELAY,
): Promise<readonly Ip[]> {
  return new Promise((resolve, reject) => {
    const found: Ip[] = [];
    const failures: unknown[] = [];
    let missing = 2;
    let timer: NodeJS.Timeout | undefined;
    const finish = (): void => {
      clearTimeout(timer);
      if (found.length === 0 && failures.length > 0) reject(failures[0]);
      else resolve([...found]);
    };
    const gather = async (lookup: Promise<readonly Ip[]>, patient: boolean): Promise<void> => {
      try {
        found.push(...(await lookup));
      } catch (error) {
        failures.push(error);
      }
      missing--;
      if (missing === 0) finish();
      else if (!patient && found.some(isUsable)) timer = setTimeout(finish, delay);
    };
    void gather(ipv6, true);
    void gather(ipv4, false);
  });
}
