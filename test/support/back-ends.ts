import type { PasswordBackEnd } from '../../src/auth/back-end.ts';
import { LocalUsers } from '../../src/auth/local-users.ts';
import { hashOf } from './hash.ts';

/** A user for a back end. */
export interface Account {
  readonly name: string;
  readonly password: string;
  readonly groups: readonly string[];
  /** The last day, in UTC. */
  readonly expires?: string;
  readonly disabled?: true;
}

/** A kind of back end. */
export interface Kind {
  readonly name: string;
  /** Opens a back end that knows only these users, until it is disposed of. */
  readonly open: (accounts: readonly Account[]) => Promise<OpenBackEnd>;
}

export interface OpenBackEnd extends AsyncDisposable {
  readonly backEnd: PasswordBackEnd;
}

/** Every back end must pass all of src/auth/contract/. */
export const backEnds: readonly Kind[] = [
  {
    name: 'local users',
    open: async (accounts) => {
      const users = accounts.map(({ password, ...user }) => ({ ...user, hash: hashOf(64, 1, password) }));
      return { backEnd: new LocalUsers(users), async [Symbol.asyncDispose]() {} };
    },
  },
];
