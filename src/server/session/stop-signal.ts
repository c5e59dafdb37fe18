import type { Signal } from '../../net/engine.ts';

/**
 * The signal of a session. Every connection has one, and an AbortSignal would cost more than evaluating its
 * rules.
 */
export class StopSignal implements Signal {
  #reason: Error | undefined;
  #listeners: readonly (() => void)[] = NONE;

  /** `reason`: already aborted, with this reason. */
  constructor(reason?: Error) {
    this.#reason = reason;
  }

  get aborted(): boolean {
    return this.#reason !== undefined;
  }

  get reason(): Error | undefined {
    return this.#reason;
  }

  throwIfAborted(): void {
    if (this.#reason !== undefined) throw this.#reason;
  }

  abort(reason: Error): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    const listeners = this.#listeners;
    this.#listeners = NONE;
    for (const listener of listeners) listener();
  }

  addEventListener(_type: 'abort', listener: () => void): void {
    if (this.#reason === undefined) this.#listeners = [...this.#listeners, listener];
  }

  removeEventListener(_type: 'abort', listener: () => void): void {
    this.#listeners =
      this.#listeners.length === 1 && this.#listeners[0] === listener
        ? NONE
        : this.#listeners.filter((one) => one !== listener);
  }
}

const NONE: readonly (() => void)[] = [];
