/** Milliseconds after the first datagram in which another port at the client's address is a conflict. */
const CONTEST = 1000;
/**
 * Milliseconds after which a second datagram from the same port settles it. A sooner one may be part of the
 * same guess.
 */
const PROOF = 250;

/**
 * The sender of a datagram from the client's address; `conflict`: either of two ports may be the client's.
 */
export type Sender = 'client' | 'stranger' | 'conflict';

/**
 * Determines which port at the client's address is the client's: others may share the address. `now` is in
 * milliseconds.
 */
export class ClientPort {
  #port: number;
  #isSettled: boolean;
  readonly #hint: number;
  #lockedAt = 0;

  /** The port that the client has declared, even if it is not trusted; 0 = none. */
  readonly declared: number;

  /**
   * `expected`: the port that is accepted whenever it sends, 0 = none. `isCertain`: no other port is accepted.
   * `declared`: @default the expected one
   */
  constructor(expected: number, isCertain: boolean, declared: number = expected) {
    this.#isSettled = isCertain && expected !== 0;
    this.#port = this.#isSettled ? expected : 0;
    this.#hint = expected;
    this.declared = declared;
  }

  /** Only one port is accepted from now on. */
  get isSettled(): boolean {
    return this.#isSettled;
  }

  /** The port that is accepted so far; 0 = none. */
  get port(): number {
    return this.#port;
  }

  /** From now on only the declared port is accepted. */
  settle(): void {
    this.#port = this.declared;
    this.#isSettled = true;
  }

  /** Whether this is, or could still turn out to be, the client's port as far as is known. */
  mayBe(port: number): boolean {
    return port === this.#port || (!this.#isSettled && port === this.declared);
  }

  isOf(port: number): boolean {
    return port === this.#port;
  }

  /** A valid datagram has come from this port. The first locks it. */
  claim(port: number, now: number): Sender {
    if (port === 0) return 'stranger'; // it could not be answered
    if (this.#isSettled) return port === this.#port ? 'client' : 'stranger';
    if (this.#port === 0 || port === this.#hint) {
      this.#port = port;
      this.#lockedAt = now;
      this.#isSettled = port === this.#hint;
      return 'client';
    }
    const age = now - this.#lockedAt;
    const isSame = port === this.#port;
    this.#isSettled = age >= (isSame ? PROOF : CONTEST);
    if (isSame) return 'client';
    return this.#isSettled ? 'stranger' : 'conflict';
  }
}
