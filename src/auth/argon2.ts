import { argon2, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';

/**
 * An Argon2id hash with its parameters (RFC 9106). As text it is the PHC string
 * `$argon2id$v=19$m=19456,t=2,p=1$SALT$TAG`, with salt and tag in base64 without padding.
 */
export interface PasswordHash {
  /** KiB. */
  readonly memory: number;
  readonly passes: number;
  readonly parallelism: number;
  readonly salt: Uint8Array;
  readonly tag: Uint8Array;
}

/** The cost of new hashes: 19 MiB, two passes, one lane. */
export const COST = { memory: 19_456, passes: 2, parallelism: 1 } as const;

const SALT_SIZE = 16;
const TAG_SIZE = 32;

/** Bounds on the cost of a hash in a file, which must not be able to stall the machine. */
const BOUNDS = { memory: 262_144, passes: 10, parallelism: 16 } as const;

const PHC = /^\$argon2id\$v=19\$m=(\d{1,9}),t=(\d{1,9}),p=(\d{1,9})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/;

const derive = promisify(argon2);

/** Hashes a password with a fresh salt, off the event loop; returns the PHC string. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(SALT_SIZE);
  const tag = await tagOf(password, { ...COST, salt }, TAG_SIZE);
  return formatHash({ ...COST, salt, tag });
}

/** True when the PHC string matches the password. Runs off the event loop, and compares in constant time. */
export async function verifyPassword(hash: string, password: string): Promise<boolean> {
  const parsed = parseHash(hash);
  if (typeof parsed === 'string') throw new RangeError(`the stored hash ${parsed}`);
  return timingSafeEqual(await tagOf(password, parsed, parsed.tag.length), parsed.tag);
}

/** Parses a PHC string. A returned string is the fault, which never quotes the hash. */
export function parseHash(text: string): PasswordHash | string {
  const match = PHC.exec(text);
  if (match === null) return 'is not an Argon2id hash ($argon2id$v=19$m=…,t=…,p=…$…$…)';
  const memory = Number(match[1]);
  const passes = Number(match[2]);
  const parallelism = Number(match[3]);
  const salt = Buffer.from(match[4]!, 'base64');
  const tag = Buffer.from(match[5]!, 'base64');
  if (parallelism < 1 || parallelism > BOUNDS.parallelism)
    return `has p=${parallelism}, not 1 to ${BOUNDS.parallelism}`;
  if (passes < 1 || passes > BOUNDS.passes) return `has t=${passes}, not 1 to ${BOUNDS.passes}`;
  if (memory < 8 * parallelism || memory > BOUNDS.memory) {
    return `has m=${memory}, not ${8 * parallelism} to ${BOUNDS.memory} (KiB)`;
  }
  if (salt.length < 8 || salt.length > 64) return `has a salt of ${salt.length} bytes, not 8 to 64`;
  if (tag.length < 16 || tag.length > 64) return `has a tag of ${tag.length} bytes, not 16 to 64`;
  const hash = { memory, passes, parallelism, salt, tag };
  if (formatHash(hash) !== text) return 'has stray bits or leading zeros: it was truncated or changed';
  return hash;
}

export function formatHash(hash: PasswordHash): string {
  const { memory, passes, parallelism, salt, tag } = hash;
  return `$argon2id$v=19$m=${memory},t=${passes},p=${parallelism}$${base64(salt)}$${base64(tag)}`;
}

function tagOf(password: string, cost: Omit<PasswordHash, 'tag'>, tagLength: number): Promise<Uint8Array> {
  const { memory, passes, parallelism, salt } = cost;
  return derive('argon2id', { message: password, nonce: salt, memory, passes, parallelism, tagLength });
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64').replace(/=+$/, '');
}
