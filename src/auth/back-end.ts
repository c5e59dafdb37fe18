import type { Identity } from './identity.ts';

/**
 * Checks user names and passwords (RFC 1929). An `Authenticator` in front of it does what all back ends have
 * in common: it caches answers, slows down guessing, queues checks, and enforces `expires`.
 * `src/auth/contract/` tests a back end against this contract.
 */
export interface PasswordBackEnd {
  /** The number of concurrent checks. */
  readonly concurrency: number;
  /** Rejects only when the back end is broken. */
  verify(name: string, password: string, attempt: Attempt): Promise<BackEndAnswer>;
  /**
   * The user's identity, regardless of the password; `undefined` once removed or disabled. Absent where it cannot be
   * found without a password.
   */
  identify?(name: string): Promise<Identity | undefined>;
  /** The duration of checks, where that would reveal which names exist. @default all take equally long */
  readonly timing?: Timing;
}

export interface Attempt {
  /** The client's address, as text. */
  readonly client: string;
  /** Aborted when the answer is no longer awaited. */
  readonly signal: AbortSignal;
}

/**
 * `wrong` includes unknown names; `disabled` is said only for the right password. `unavailable`: no answer is
 * possible now. Neither of these two counts as a guess or a success.
 */
export type BackEndAnswer = Identity | 'wrong' | 'disabled' | 'unavailable';

/** Every refusal is delayed until the longest check would have ended, so that timing reveals nothing. */
export interface Timing {
  /** Milliseconds that the longest check rarely exceeds; `undefined` before it is known. */
  readonly longest: number | undefined;
  /** Checks differ in duration: the longest must be measured from time to time. */
  readonly isUneven: boolean;
  /** Runs the longest check in order to time it. */
  measure(): Promise<unknown>;
}
