import { request as httpRequest } from 'node:http';
import { codeOf } from '../../wire/error-code.ts';

/** A bound for what a server sends, a page of sessions being the largest. */
const ANSWER = 16 * 1024 * 1024;
/** Milliseconds: a reload with long lists takes a while. */
const PATIENCE = 120_000;

/** A server's answer: JSON, or its refusal. */
export type Reply<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly code: string; readonly message: string };

/** There is no server at this socket, or it does not answer. */
export class Unreachable extends Error {
  override readonly name = 'Unreachable';
}

/** Asks the server that listens on this control socket. Rejects with Unreachable. */
export async function askServer<T>(socket: string, method: string, path: string): Promise<Reply<T>> {
  let status: number;
  let text: string;
  try {
    ({ status, text } = await exchange(socket, method, path));
  } catch (error) {
    throw new Unreachable(`${socket}: ${reasonOf(error)}`, { cause: error });
  }
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    throw new Unreachable(`${socket}: another program answers there`);
  }
  if (status < 300) return { ok: true, value: body as T };
  const { code, message } = (body as { error: { code: string; message: string } }).error;
  return { ok: false, code, message };
}

function exchange(
  socketPath: string,
  method: string,
  path: string,
): Promise<{ readonly status: number; readonly text: string }> {
  return new Promise((resolve, reject) => {
    const asking = httpRequest({ socketPath, method, path, timeout: PATIENCE }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
        if (text.length > ANSWER) asking.destroy(new Error('the answer is too long'));
      });
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
    });
    asking.on('timeout', () => asking.destroy(new Error('no answer')));
    asking.on('error', reject);
    asking.end();
  });
}

function reasonOf(error: unknown): string {
  switch (codeOf(error)) {
    case 'ENOENT':
      return 'there is no such socket';
    case 'ECONNREFUSED':
      return 'no garter listens there any more';
    case 'EACCES':
      return "only root and garter's user may use it";
    default:
      return error instanceof Error ? error.message : String(error);
  }
}
