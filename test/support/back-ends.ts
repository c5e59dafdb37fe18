import type { PasswordBackEnd } from '../../src/auth/back-end.ts';
import { LocalUsers } from '../../src/auth/local-users.ts';
import { hashOf } from './hash.ts';

/** Somebody whom a back end is to know. */
export interface Account {
  readonly name: string;
  readonly password: string;
  readonly groups: readonly string[];
  /** The last day, in UTC. */
  readonly expires?: string;
}

/** A kind of back end. */
export interface Kind {
  readonly name: string;
  /** One that knows these users and nobody else, until it is disposed of. */
  readonly open: (accounts: readonly Account[]) => Promise<OpenBackEnd>;
}

export interface OpenBackEnd extends AsyncDisposable {
  readonly backEnd: PasswordBackEnd;
}

/** Every back end passes the whole of src/auth/contract/. */
export const backEnds: readonly Kind[] = [
  {
    name: 'local users',
    open: async (accounts) => {
      const users = accounts.map(({ password, ...user }) => ({ ...user, hash: hashOf(64, 1, password) }));
      return { backEnd: new LocalUsers(users), async [Symbol.asyncDispose]() {} };
    },
  },
];
