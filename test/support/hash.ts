import { argon2Sync } from 'node:crypto';
import { formatHash } from '../../src/auth/argon2.ts';

const SALT = Buffer.alloc(16, 's');

/** A hash that can be cheaper or more expensive than those that garter makes. */
export function hashOf(memory: number, passes: number, message = 'secret'): string {
  const cost = { memory, passes, parallelism: 1 };
  const tag = argon2Sync('argon2id', { message, nonce: SALT, tagLength: 32, ...cost });
  return formatHash({ ...cost, salt: SALT, tag });
}
