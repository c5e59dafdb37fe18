import assert from 'node:assert/strict';
import { test } from 'node:test';
import { COST, parseHash, verifyPassword } from './argon2.ts';
import type { Attempt } from './back-end.ts';
import { LocalUsers, plainUser } from './local-users.ts';
import type { User } from './users-file.ts';

// "password" at a low cost (the first vector of argon2.test.ts).
const HASH = '$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4';
const alice: User = { name: 'alice', hash: HASH, groups: ['staff'] };
const cheap: User = { ...alice, hash: HASH.replace('m=256', 'm=64') };

const attempt = (): Attempt => ({ client: '192.0.2.1', signal: new AbortController().signal });

function setup(users: readonly User[] = [alice]) {
  const compared: string[] = [];
  const local = new LocalUsers(users, {
    compare: (hash, password) => {
      compared.push(hash);
      return verifyPassword(hash, password);
    },
  });
  return { local, compared };
}

test('an unknown name costs one comparison, as expensive as for a known one, and has no valid password', async () => {
  const { local, compared } = setup();
  for (const name of ['nobody', '', 'alice\0', '__proto__', 'å'.repeat(127)]) {
    compared.length = 0;
    assert.equal(await local.verify(name, 'password', attempt()), 'wrong');
    const [decoy] = compared;
    assert.equal(compared.length, 1);
    assert(decoy !== undefined);
    assert(decoy.startsWith('$argon2id$v=19$m=256,t=2,p=1$'), decoy);
    assert.notEqual(decoy, HASH);
  }
});

test('an unknown name costs what most known ones do', async () => {
  const { local, compared } = setup([{ ...cheap, name: 'bob' }, alice, { ...cheap, name: 'carol' }]);
  for (let i = 0; i < 10; i++) await local.verify(`nobody${i}`, 'a', attempt());
  const costs = compared.map((hash) => hash.split('$')[3]);
  assert.equal(costs.filter((cost) => cost === 'm=64,t=2,p=1').length, 10);
});

test('without any user an unknown name costs what a new hash does', async () => {
  const { local, compared } = setup([]);
  assert.equal(await local.verify('nobody', 'password', attempt()), 'wrong');
  const decoy = parseHash(compared[0]!);
  assert(typeof decoy === 'object');
  assert.equal(decoy.memory, COST.memory);
});

test('if two users have the same name, the later one counts', async () => {
  const { local } = setup([alice, { ...alice, groups: [] }]);
  assert.deepEqual((await local.identify('alice'))?.groups, []);
});

const UNFIT = [
  ['@env', 'hunter2', /the name begins with "@"/],
  ['', 'hunter2', /the name is empty/],
  ['env', '', /the password is empty/],
  ['env', 'hunter2'.repeat(40), /^the password is longer than 255 bytes$/],
] as const;

for (const [name, password, message] of UNFIT) {
  test(`refuses ${name || 'no name'} with a password of ${password.length} bytes`, async () => {
    await assert.rejects(plainUser(name, password), { name: 'RangeError', message });
  });
}
