import type { Identity } from './identity.ts';

/**
 * Checks user names and passwords (RFC 1929). `Authenticator` stands in front and does what is the same for all of them: it
 * remembers answers, slows down guessing, shares out the checks at a time, and looks at `expires`. `src/auth/contract/` holds a back
 * end to this.
 */
export interface PasswordBackEnd {
  /** Checks that may run at a time. */
  readonly concurrency: number;
  /** Rejects only when it is broken. */
  verify(name: string, password: string, attempt: Attempt): Promise<Answer>;
  /** Who this user is, whatever the password; nobody once removed. Absent where only a password can bring that out. */
  identify?(name: string): Promise<Identity | undefined>;
  /** How long checks take, where that would tell which names exist. @default all take as long */
  readonly timing?: Timing;
}

export interface Attempt {
  /** The client's address, as text. */
  readonly client: string;
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

/** `wrong` covers unknown names as well. `unavailable`: it cannot be said now, which is neither a guess nor a success. */
export type Answer = Identity | 'wrong' | 'unavailable';

/** No refusal is given before the longest check would have been over, so that its time tells nothing. */
export interface Timing {
  /** Milliseconds that the longest check hardly exceeds; `undefined` before it is known. */
  readonly longest: number | undefined;
  /** Some checks take longer than others: the longest has to be measured now and then. */
  readonly isUneven: boolean;
  /** Does the longest check, for its time. */
  measure(): Promise<unknown>;
}
