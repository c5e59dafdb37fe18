import type { ConnectionRecord } from '../audit/record.ts';
import type { Server } from '../server/server.ts';
import { readParameters, Refusal } from './refusal.ts';

/** GET /v1/sessions: a page of open sessions, as records without an end, the oldest of each thread first. */
export interface SessionList {
  readonly sessions: readonly ConnectionRecord[];
  /** The parameter `page` of the next page; absent on the last one. */
  readonly next?: string | undefined;
}

/** DELETE of sessions. */
export interface SessionsEnded {
  readonly ended: number;
}

/** The parameters that choose sessions: those of `SessionFilter`. */
const FILTER = ['user', 'client', 'to', 'rule', 'route'] as const;

export async function listSessions(server: Server, parameters: URLSearchParams): Promise<SessionList> {
  const { page, ...filter } = readParameters(parameters, ['page', ...FILTER]);
  if (page !== undefined && !/^\d{1,15}(:\d{1,15})?$/.test(page))
    throw new Refusal(400, 'parameter', 'page is the `next` of another page');
  const { records, next } = await server.sessionPage(page, filter);
  return { sessions: records, next };
}

/** Without a filter, only `all=true` ends every session. */
export async function endSessions(server: Server, parameters: URLSearchParams): Promise<SessionsEnded> {
  const { all, ...filter } = readParameters(parameters, ['all', ...FILTER]);
  if (all !== undefined && all !== 'true') throw new Refusal(400, 'parameter', 'write all=true');
  if ((Object.keys(filter).length === 0) !== (all === 'true'))
    throw new Refusal(400, 'parameter', `write one of ${FILTER.join(', ')}, or all=true for every session`);
  return { ended: await server.endSessions(filter) };
}

export async function endOne(server: Server, id: string): Promise<SessionsEnded> {
  const ended = await server.endSessions({ id });
  if (ended === 0) throw new Refusal(404, 'no-session', `there is no open session ${id}`);
  return { ended };
}
