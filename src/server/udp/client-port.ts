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

  /** `declared`: the port that the client has declared, 0 = none. `isCertain`: no other port is accepted. */
  constructor(declared: number, isCertain: boolean) {
    this.#isSettled = isCertain && declared !== 0;
    this.#port = this.#isSettled ? declared : 0;
    this.#hint = declared;
  }

  /** Only one port is accepted from now on. */
  get isSettled(): boolean {
    return this.#isSettled;
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
