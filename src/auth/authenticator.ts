/** Who a client is, vouched for by a method. */
export interface Identity {
  readonly user: string;
  readonly groups: readonly string[];
}

export type PasswordVerdict =
  | { readonly ok: true; readonly identity: Identity }
  /** `wrong` covers unknown names as well; `back-off` and `busy` were refused unlooked-at. */
  | { readonly ok: false; readonly reason: 'wrong' | 'expired' | 'back-off' | 'busy' };

/** The contract of every back end that checks a user name and password (RFC 1929). */
export interface Authenticator {
  /** `address` is the client's, as text, for the back-off. Never rejects for a wrong password; a rejection is a broken back end. */
  verify(username: string, password: string, address: string): Promise<PasswordVerdict>;
  /**
   * Who this user is at this time (milliseconds since the epoch); `undefined` once removed or expired. Absent where nobody can
   * tell: then whoever was verified stays.
   */
  identity?(username: string, time: number): Identity | undefined;
  /** Some user has a last day. */
  readonly timed?: boolean;
}

/** What is known of a user beside the password. */
export interface Member {
  readonly name: string;
  readonly groups: readonly string[];
  /** The last day. */
  readonly expires?: string;
}

/** Where users come from: a file made by `garter user`, one user given by the environment, or both. */
export interface UsersSettings {
  readonly file?: string;
  readonly single?: { readonly username: string; readonly password: string };
}
