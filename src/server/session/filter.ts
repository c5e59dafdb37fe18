import { ipOf, formatIp } from '../../wire/ip.ts';
import type { Session } from './session.ts';

/**
 * Sessions that match all of these, as their records show them, except for the client; an empty filter
 * matches every one.
 */
export interface SessionFilter {
  readonly id?: string;
  readonly user?: string;
  /** An address, without port. */
  readonly client?: string;
  /**
   * The destination as requested or the address that was reached: a name or an address, perhaps with its port;
   * `.suffix` for all names below.
   */
  readonly to?: string;
  /** One of its rules. */
  readonly rule?: string;
  readonly route?: string;
}

export function matches(session: Session, { id, user, client, to, rule, route }: SessionFilter): boolean {
  return (
    (id === undefined || session.id === id) &&
    (user === undefined || session.identity?.user === user) &&
    (client === undefined || isAt(session, client)) &&
    (to === undefined || goesTo(session, to)) &&
    (rule === undefined || session.rules.some(({ name }) => name === rule)) &&
    (route === undefined || session.route === route)
  );
}

function isAt({ ip }: Session, address: string): boolean {
  const wanted = ipOf(address);
  return wanted !== undefined && formatIp(wanted) === formatIp(ip);
}

function goesTo({ destination, address }: Session, to: string): boolean {
  const ip = ipOf(to.replace(/^\[(.*)\]$/, '$1'));
  const wanted = ip === undefined ? to.toLowerCase() : formatIp(ip);
  return isPlace(destination, wanted) || isPlace(address, wanted);
}

/** `place`: `host:port`, IPv6 in brackets; for a name that was resolved without a port. */
function isPlace(place: string | undefined, wanted: string): boolean {
  if (place === undefined) return false;
  const text = place.toLowerCase();
  const host = text.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
  return text === wanted || host === wanted || (wanted.startsWith('.') && host.endsWith(wanted));
}
