/** The identity of a client, established by a method. */
export interface Identity {
  readonly user: string;
  readonly groups: readonly string[];
  /** Milliseconds since the epoch, from which the identity is no longer valid. @default it never expires */
  readonly expires?: number;
}

export type PasswordVerdict =
  | { readonly ok: true; readonly identity: Identity }
  /**
   * `wrong` includes unknown names; `wrong-again` repeats a password that was found wrong before, and is not
   * another guess; `back-off` and `busy` are refused without a check.
   */
  | {
      readonly ok: false;
      readonly reason: 'wrong' | 'wrong-again' | 'expired' | 'disabled' | 'back-off' | 'busy';
    };

/** Identifies clients for connections. */
export interface Authentication {
  /**
   * `client` is the client's address as text. Never rejects for a wrong password; a rejection means a broken
   * back end.
   */
  verify(name: string, password: string, client: string): Promise<PasswordVerdict>;
  /**
   * The current identities of these users, one answer for each; `undefined` for those that have been removed
   * or disabled, or have expired. Absent where this cannot be determined: verified users then stay.
   */
  readonly identities?:
    | ((names: readonly string[]) => Promise<readonly (Identity | undefined)[]>)
    | undefined;
}

/** Whether an identity has expired by this time (milliseconds since the epoch). */
export function isOver({ expires = Infinity }: Identity, time: number): boolean {
  return time >= expires;
}
