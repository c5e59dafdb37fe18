import { inspect } from 'node:util';
import type { Server } from '../server/server.ts';
import type { Answer, Asked } from './http-listener.ts';
import type { Program } from './program.ts';
import { statusOf } from './status.ts';

/** A request that is answered by an error; the code is for programs, the message for people. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

type Handler = (server: Server, program: Program, parameters: URLSearchParams) => Promise<object>;

/** By path, then method. */
const PATHS: Readonly<Record<string, Readonly<Record<string, Handler>>>> = {
  '/v1/status': { GET: statusOf },
  '/v1/reload': { POST: reload },
  '/v1/drain': { POST: drain },
};

/** The answer of the control socket. */
export async function answerControl(
  { method, url, hasBody }: Asked,
  server: Server,
  program: Program,
): Promise<Answer> {
  try {
    const handler = handlerFor(method, url.split('?', 1)[0]!);
    if (hasBody) throw new Refusal(400, 'body', 'requests have no body; write parameters into the query');
    const parameters = new URLSearchParams(url.split('?').slice(1).join('?'));
    return json(200, await handler(server, program, parameters));
  } catch (error) {
    if (error instanceof Refusal)
      return json(error.status, { error: { code: error.code, message: error.message } });
    server.log.error('control-failed', { error: inspect(error) });
    return json(500, { error: { code: 'internal', message: 'a fault in garter; the log has more' } });
  }
}

function handlerFor(method: string, path: string): Handler {
  const methods = Object.hasOwn(PATHS, path) ? PATHS[path]! : undefined;
  if (methods === undefined)
    throw new Refusal(404, 'not-found', `there is no such path; there are ${Object.keys(PATHS).join(', ')}`);
  const handler = Object.hasOwn(methods, method) ? methods[method] : undefined;
  if (handler === undefined) throw new Refusal(405, 'method', `write ${Object.keys(methods).join(' or ')}`);
  return handler;
}

/** Answers once the outcome is known. */
async function reload(_: Server, program: Program): Promise<object> {
  const outcome = await program.reload();
  if (outcome.ok) return { warnings: outcome.report };
  throw new Refusal(outcome.reason === 'configuration' ? 422 : 409, outcome.reason, outcome.report);
}

/** Answers at once; the sessions may take a while. */
async function drain(server: Server, program: Program): Promise<object> {
  program.end();
  return statusOf(server);
}

function json(status: number, body: object): Answer {
  return { status, type: 'application/json', body: `${JSON.stringify(body)}\n` };
}
