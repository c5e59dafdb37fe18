import { codeOf } from '../../wire/error-code.ts';

/** The messages and questions that one end of a channel accepts; values are copied. */
type Calls = { readonly [name: string]: (value: never) => unknown };

/** A worker, seen from outside, or the port to its parent thread. */
interface Port {
  postMessage(message: Message | Answer): void;
  on(event: 'message', listener: (message: Message | Answer) => void): unknown;
}

interface Message {
  readonly name: string;
  readonly value: unknown;
  /** Identifies a question, and its answer. */
  readonly number?: number;
}

interface Answer {
  readonly answered: number;
  readonly value?: unknown;
  readonly error?: Error;
  /** The error's code, which is lost when errors are copied. */
  readonly code?: string | undefined;
}

/** Messages, and questions with answers, between two threads. Each direction keeps its order. */
export class ThreadChannel<Ours extends Calls, Theirs extends Calls> {
  readonly #port: Port;
  readonly #ours: Ours;
  readonly #asked = new Map<number, PromiseWithResolvers<unknown>>();
  #last = 0;
  #ended: Error | undefined;

  constructor(port: Port, ours: Ours) {
    this.#port = port;
    this.#ours = ours;
    port.on('message', (message) => {
      if ('answered' in message) this.#answered(message);
      else void this.#receive(message);
    });
  }

  tell<Name extends keyof Theirs & string>(name: Name, ...[value]: Parameters<Theirs[Name]>): void {
    this.#port.postMessage({ name, value });
  }

  /** Rejects with the other end's error, or once the other end has gone. */
  ask<Name extends keyof Theirs & string>(
    name: Name,
    ...[value]: Parameters<Theirs[Name]>
  ): Promise<Awaited<ReturnType<Theirs[Name]>>> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    const number = ++this.#last;
    const asked = Promise.withResolvers<unknown>();
    this.#asked.set(number, asked);
    this.#port.postMessage({ name, value, number });
    return asked.promise as Promise<Awaited<ReturnType<Theirs[Name]>>>;
  }

  /** The other end has gone: pending questions reject with this error. */
  end(reason: Error): void {
    this.#ended = reason;
    for (const { reject } of this.#asked.values()) reject(reason);
    this.#asked.clear();
  }

  #answered({ answered, value, error, code }: Answer): void {
    const asked = this.#asked.get(answered);
    this.#asked.delete(answered);
    if (error === undefined) asked?.resolve(value);
    else asked?.reject(code === undefined ? error : Object.assign(error, { code }));
  }

  async #receive({ name, value, number }: Message): Promise<void> {
    const call = this.#ours[name]!;
    if (number === undefined) {
      await call(value as never);
      return;
    }
    let answer: Answer;
    try {
      answer = { answered: number, value: await call(value as never) };
    } catch (error) {
      answer = { answered: number, error: error as Error, code: codeOf(error) };
    }
    this.#port.postMessage(answer);
  }
}
