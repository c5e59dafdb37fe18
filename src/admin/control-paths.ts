import { inspect } from 'node:util';
import type { Server } from '../server/server.ts';
import { explain } from './explain/request.ts';
import type { Answer, Asked } from './http-listener.ts';
import type { Program } from './program.ts';
import { Refusal } from './refusal.ts';
import { endOne, endSessions, listSessions } from './sessions.ts';
import { statusOf } from './status.ts';

/** A request with its parameters, and whom it concerns. */
interface Request {
  readonly server: Server;
  readonly program: Program;
  readonly parameters: URLSearchParams;
  /** The last part of a path that ends in `ID`. */
  readonly id: string;
}

type Handler = (request: Request) => object | Promise<object>;

/** By path, then method. These paths are public: docs/control.md. */
const PATHS: Readonly<Record<string, Readonly<Record<string, Handler>>>> = {
  '/v1/status': { GET: ({ server, program }) => statusOf(server, program) },
  '/v1/sessions': {
    GET: ({ server, parameters }) => listSessions(server, parameters),
    DELETE: ({ server, parameters }) => endSessions(server, parameters),
  },
  '/v1/sessions/ID': { DELETE: ({ server, id }) => endOne(server, id) },
  '/v1/explain': { GET: ({ server, parameters }) => explain(server, parameters) },
  '/v1/reload': { POST: ({ program }) => reload(program) },
  '/v1/drain': {
    POST: ({ server, program }) => {
      program.end();
      return statusOf(server, program);
    },
  },
};

/** The answer of the control socket. */
export async function answerControl(
  { method, url, hasBody }: Asked,
  server: Server,
  program: Program,
): Promise<Answer> {
  try {
    const [path = '', ...query] = url.split('?');
    const { handler, id } = handlerFor(method, path);
    if (hasBody) throw new Refusal(400, 'body', 'requests have no body; write parameters into the query');
    const parameters = new URLSearchParams(query.join('?'));
    return json(200, await handler({ server, program, parameters, id }));
  } catch (error) {
    if (error instanceof Refusal)
      return json(error.status, { error: { code: error.code, message: error.message } });
    server.log.error('control-failed', { error: inspect(error) });
    return json(500, { error: { code: 'internal', message: 'a fault in garter; the log has more' } });
  }
}

function handlerFor(method: string, path: string): { readonly handler: Handler; readonly id: string } {
  const [, id] = /^\/v1\/sessions\/([\w-]+)$/.exec(path) ?? [];
  const pattern = id === undefined ? path : '/v1/sessions/ID';
  const methods = Object.hasOwn(PATHS, pattern) ? PATHS[pattern]! : undefined;
  if (methods === undefined)
    throw new Refusal(404, 'not-found', `there is no such path; there are ${Object.keys(PATHS).join(', ')}`);
  const handler = Object.hasOwn(methods, method) ? methods[method] : undefined;
  if (handler === undefined)
    throw new Refusal(405, 'method', `this path takes ${Object.keys(methods).join(' and ')}`);
  return { handler, id: id ?? '' };
}

/** Answers once the outcome is known. */
async function reload(program: Program): Promise<object> {
  const outcome = await program.reload();
  if (outcome.ok) return { warnings: outcome.report };
  throw new Refusal(outcome.reason === 'configuration' ? 422 : 409, outcome.reason, outcome.report);
}

function json(status: number, body: object): Answer {
  return { status, type: 'application/json', body: `${JSON.stringify(body)}\n` };
}
