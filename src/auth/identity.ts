/** Who a client is, vouched for by a method. */
export interface Identity {
  readonly user: string;
  readonly groups: readonly string[];
  /** Milliseconds since the epoch: from then on it holds no more. @default it holds for ever */
  readonly expires?: number;
}

export type PasswordVerdict =
  | { readonly ok: true; readonly identity: Identity }
  /** `wrong` covers unknown names as well; `back-off` and `busy` were refused unlooked-at. */
  | { readonly ok: false; readonly reason: 'wrong' | 'expired' | 'back-off' | 'busy' };

/** Whom connections ask who their clients are. */
export interface Authentication {
  /** `client` is its address as text. Never rejects for a wrong password; a rejection is a broken back end. */
  verify(name: string, password: string, client: string): Promise<PasswordVerdict>;
  /**
   * Who these users are now, one answer for each; `undefined` for those that are removed or expired. Absent where nobody can tell:
   * then whoever was verified stays.
   */
  readonly identities?:
    | ((names: readonly string[]) => Promise<readonly (Identity | undefined)[]>)
    | undefined;
}

/** Whether it holds no more at this time (milliseconds since the epoch). */
export function isOver({ expires = Infinity }: Identity, time: number): boolean {
  return time >= expires;
}
