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
  /** One of its rules. */
  readonly rule?: string;
  readonly route?: string;
}

export function matches(session: Session, { id, user, client, rule, route }: SessionFilter): boolean {
  return (
    (id === undefined || session.id === id) &&
    (user === undefined || session.identity?.user === user) &&
    (client === undefined || isAt(session, client)) &&
    (rule === undefined || session.rules.some(({ name }) => name === rule)) &&
    (route === undefined || session.route === route)
  );
}

function isAt({ ip }: Session, address: string): boolean {
  const wanted = ipOf(address);
  return wanted !== undefined && formatIp(wanted) === formatIp(ip);
}
