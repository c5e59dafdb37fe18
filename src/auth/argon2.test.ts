import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hashPassword, parseHash, verifyPassword } from './argon2.ts';

// From the test program of the reference implementation (phc-winner-argon2, src/test.c).
const VECTORS = [
  ['password', '$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4'],
  ['password', '$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc'],
  ['password', '$argon2id$v=19$m=65536,t=1,p=1$c29tZXNhbHQ$9qWtwbpyPd3vm1rB1GThgPzZ3/ydHL92zKL+15XZypg'],
  [
    'differentpassword',
    '$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$C4TWUs9rDEvq7w3+J4umqA32aWKB1+DSiRuBfYxFj94',
  ],
  ['password', '$argon2id$v=19$m=65536,t=2,p=1$ZGlmZnNhbHQ$vfMrBczELrFdWP0ZsfhWsRPaHppYdP3MVEMIVlqoFBw'],
] as const;

for (const [password, hash] of VECTORS) {
  test(`the vector ${hash}`, async () => {
    assert.equal(await verifyPassword(hash, password), true);
    assert.equal(await verifyPassword(hash, `${password}!`), false);
  });
}

test('a new hash costs 19 MiB, 2 passes, 1 lane, and has its own salt', async () => {
  const [one, two] = await Promise.all([hashPassword('pässword'), hashPassword('pässword')]);
  assert.match(one, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
  assert.notEqual(one, two);
  assert.equal(await verifyPassword(one, 'pässword'), true);
  assert.equal(await verifyPassword(one, 'password'), false);
});

const SALT = 'c29tZXNhbHQ';
const TAG = 'nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4';

const FAULTS = [
  ['', /not an Argon2id hash/],
  ['secret', /not an Argon2id hash/],
  ['$2y$12$abcdefghijklmnopqrstuv', /not an Argon2id hash/],
  [`$argon2i$v=19$m=256,t=2,p=1$${SALT}$${TAG}`, /not an Argon2id hash/],
  [`$argon2id$v=16$m=256,t=2,p=1$${SALT}$${TAG}`, /not an Argon2id hash/],
  [`$argon2id$v=19$m=256,t=2,p=1$${SALT}$${TAG}=`, /not an Argon2id hash/],
  [`$argon2id$v=19$m=256,t=2,p=0$${SALT}$${TAG}`, /p=0, not 1 to 16/],
  [`$argon2id$v=19$m=256,t=2,p=17$${SALT}$${TAG}`, /p=17/],
  [`$argon2id$v=19$m=256,t=0,p=1$${SALT}$${TAG}`, /t=0, not 1 to 10/],
  [`$argon2id$v=19$m=256,t=11,p=1$${SALT}$${TAG}`, /t=11/],
  [`$argon2id$v=19$m=7,t=2,p=1$${SALT}$${TAG}`, /m=7, not 8 to 262144/],
  [`$argon2id$v=19$m=262145,t=2,p=1$${SALT}$${TAG}`, /m=262145/],
  [`$argon2id$v=19$m=999999999,t=2,p=1$${SALT}$${TAG}`, /m=999999999/],
  [`$argon2id$v=19$m=256,t=2,p=1$c29tZQ$${TAG}`, /salt of 4 bytes/],
  [`$argon2id$v=19$m=256,t=2,p=1$${SALT}$c29tZXNhbHQ`, /tag of 8 bytes/],
  [`$argon2id$v=19$m=256,t=2,p=1$${SALT}$${TAG.slice(0, -1)}5`, /stray bits/],
  [`$argon2id$v=19$m=0256,t=2,p=1$${SALT}$${TAG}`, /leading zeros/],
] as const;

for (const [hash, fault] of FAULTS) {
  test(`refuses ${hash || 'an empty hash'}`, async () => {
    const said = parseHash(hash);
    assert(typeof said === 'string');
    assert.match(said, fault);
    await assert.rejects(verifyPassword(hash, 'password'), RangeError);
  });
}
