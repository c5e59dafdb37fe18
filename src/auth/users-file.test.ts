import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import {
  formatFaults,
  formatUser,
  groupFault,
  isExpired,
  nameFault,
  parseUsers,
  passwordFault,
  removeUser,
  setUser,
} from './users-file.ts';
import type { User } from './users-file.ts';

const HASH = '$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4';
const alice: User = { name: 'alice', hash: HASH, groups: [] };

const GOOD: readonly [string, string, readonly User[]][] = [
  ['nothing', '', []],
  ['comments and blank lines', '# alice\n\n  # indented\n \t\r\n', []],
  ['a name and a hash', `alice:${HASH}\n`, [alice]],
  ['no end of line', `alice:${HASH}`, [alice]],
  ['lines of Windows', `alice:${HASH}\r\n\r\n`, [alice]],
  ['blanks at the end', `alice:${HASH}  \n`, [alice]],
  ['groups', `alice:${HASH}:staff,night shift`, [{ ...alice, groups: ['staff', 'night shift'] }]],
  [
    'groups and a last day',
    `alice:${HASH}:a,b:expires=2027-01-31`,
    [{ ...alice, groups: ['a', 'b'], expires: '2027-01-31' }],
  ],
  ['a last day alone', `alice:${HASH}:expires=2028-02-29`, [{ ...alice, expires: '2028-02-29' }]],
  ['no groups, written out', `alice:${HASH}::expires=2027-01-31`, [{ ...alice, expires: '2027-01-31' }]],
  ['a disabled user', `alice:${HASH}:disabled`, [{ ...alice, disabled: true }]],
  [
    'everything, in another order',
    `alice:${HASH}:a:disabled:expires=2027-01-31`,
    [{ ...alice, groups: ['a'], expires: '2027-01-31', disabled: true }],
  ],
  ['an empty end', `alice:${HASH}:`, [alice]],
  ['names with blanks, signs and letters', `Ål ice@#$=,:${HASH}`, [{ ...alice, name: 'Ål ice@#$=,' }]],
  ['a name of 255 bytes', `${'å'.repeat(127)}a:${HASH}`, [{ ...alice, name: `${'å'.repeat(127)}a` }]],
  ['two users', `bob:${HASH}\nalice:${HASH}\n`, [{ ...alice, name: 'bob' }, alice]],
];

for (const [name, text, users] of GOOD) {
  test(`reads ${name}`, () => assert.deepEqual(parseUsers(text), { users, faults: [] }));
}

/** The text and its whole report, with the file called `u`. */
const BAD: readonly [string, string, string][] = [
  [
    'a line that is only a name',
    'alice',
    'u:1:6: a user is written NAME:HASH; `garter user add NAME` makes such a line\n  ***\n     ^',
  ],
  [
    'a password instead of a hash',
    'alice:secret:secret,secret:expires=secret',
    'u:1:7: the part after the name is not an Argon2id hash ($argon2id$v=19$m=…,t=…,p=…$…$…); `garter user add NAME` makes one\n  alice:***\n        ^',
  ],
  [
    'a hash in the place of the name',
    `${HASH}:alice`,
    `u:1:${HASH.length + 2}: the part after the name is not an Argon2id hash ($argon2id$v=19$m=…,t=…,p=…$…$…); \`garter user add NAME\` makes one\n  ***\n  ^`,
  ],
  [
    'a hash that costs too much',
    `\nalice:${HASH.replace('m=256', 'm=9999999')}`,
    'u:2:7: the part after the name has m=9999999, not 8 to 262144 (KiB); `garter user add NAME` makes one\n  alice:***\n        ^',
  ],
  ['no name', `:${HASH}`, 'u:1:1: the name is empty\n  :***\n  ^'],
  ['a blank in front', ` alice:${HASH}`, 'u:1:1: the name begins or ends with a blank\n   alice:***\n  ^'],
  [
    'a blank before the colon',
    `alice :${HASH}`,
    'u:1:1: the name begins or ends with a blank\n  alice :***\n  ^',
  ],
  [
    'the name of a group',
    `@alice:${HASH}`,
    'u:1:1: the name begins with "@", which marks a group\n  @alice:***\n  ^',
  ],
  [
    'a control character',
    `al\u{1b}ice:${HASH}`,
    'u:1:1: the name contains a control character\n  al\u{fffd}ice:***\n  ^',
  ],
  [
    'bytes that were no UTF-8',
    `al\u{fffd}ice:${HASH}`,
    'u:1:1: the name is not UTF-8 text\n  al\u{fffd}ice:***\n  ^',
  ],
  [
    'an empty group',
    `alice:${HASH}:a,,b`,
    `u:1:${HASH.length + 10}: the group is empty\n  alice:***:a,,b\n              ^`,
  ],
  [
    'a group with a blank in front',
    `alice:${HASH}:a, b`,
    `u:1:${HASH.length + 10}: the group begins or ends with a blank\n  alice:***:a, b\n              ^`,
  ],
  [
    'a key that is not known',
    `alice:${HASH}:quota=10`,
    `u:1:${HASH.length + 8}: the group contains "," or "="\n  alice:***:quota=10\n            ^`,
  ],
  [
    'a day that is not',
    `alice:${HASH}:a:expires=2027-02-29`,
    `u:1:${HASH.length + 18}: the last day is not a calendar date such as 2027-01-31\n  alice:***:a:expires=2027-02-29\n                      ^`,
  ],
  [
    'too much',
    `alice:${HASH}:a:expires=2027-01-31:b`,
    `u:1:${HASH.length + 29}: this is more than the groups, expires= and disabled\n  alice:***:a:expires=2027-01-31:b\n                                 ^`,
  ],
  [
    'groups after the mark of disabled users',
    `alice:${HASH}:disabled:a`,
    `u:1:${HASH.length + 17}: this is more than the groups, expires= and disabled\n  alice:***:disabled:a\n                     ^`,
  ],
  [
    'a group with the name of the mark',
    `alice:${HASH}:a,disabled`,
    `u:1:${HASH.length + 10}: the group has the name of the mark of disabled users\n  alice:***:a,disabled\n              ^`,
  ],
  [
    'one name twice',
    `alice:${HASH}\n# alice:${HASH}\nalice:${HASH}:a`,
    'u:3:1: this name is already on line 1\n  alice:***:a\n  ^',
  ],
];

for (const [name, text, report] of BAD) {
  test(`refuses ${name}`, () => assert.equal(formatFaults('u', parseUsers(text).faults), report));
}

test('reports every fault and keeps the good lines', () => {
  const { users, faults } = parseUsers(`@a:${HASH}:x,:expires=1\nalice:${HASH}\nbob\nalice:${HASH}`);
  assert.deepEqual(users, [alice]);
  assert.deepEqual(
    faults.map(({ line, column }) => [line, column]),
    [
      [1, 1],
      [1, HASH.length + 7],
      [1, HASH.length + 16],
      [3, 4],
      [4, 1],
    ],
  );
});

test('shows the first twenty faults and counts the others', () => {
  const report = formatFaults('u', parseUsers('junk?\n'.repeat(30)).faults);
  assert.equal(report.match(/^u:/gm)?.length, 21);
  assert.match(report, /\nu: and 39 more$/);
});

test('no report contains a hash or a password', () => {
  const secret = 'hunter2';
  const lines = [
    secret,
    `alice ${secret}`,
    `alice:${secret}`,
    `alice:a:${secret}`,
    `alice:a:b:expires=${secret}`,
    `alice:${HASH}!:${secret}`,
    `$argon2id$${secret}:alice`,
    `$argon2id$${secret}:${HASH}`,
  ];
  for (const line of lines) {
    const { faults } = parseUsers(`${line}\n${line}`);
    assert(faults.length > 0, line);
    const report = JSON.stringify(faults) + formatFaults('u', faults);
    assert(!report.includes(secret) && !report.includes('nf65EO'), report);
  }
});

test('whatever is in the file, the reader only reports', () => {
  const field = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 20 }),
    fc.constant(HASH),
    fc.constant('expires='),
    fc.constant('disabled'),
  );
  fc.assert(
    fc.property(fc.array(fc.array(field, { maxLength: 5 }), { maxLength: 5 }), (lines) => {
      const text = lines.map((fields) => fields.join(':')).join('\n');
      for (const { line, column, excerpt, caret } of parseUsers(text).faults) {
        assert(line >= 1 && column >= 1 && column <= text.split('\n')[line - 1]!.length + 1);
        assert(caret >= 1 && caret <= excerpt.length + 1);
      }
    }),
  );
});

const word = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 });
const anyUser: fc.Arbitrary<User> = fc.record(
  {
    name: word.filter((name) => nameFault(name) === undefined),
    hash: fc.constant(HASH),
    groups: fc.array(
      word.filter((name) => groupFault(name) === undefined),
      { maxLength: 3 },
    ),
    expires: fc.constantFrom('2027-01-31', '1999-12-31'),
    disabled: fc.constant(true as const),
  },
  { requiredKeys: ['name', 'hash', 'groups'], noNullPrototype: true },
);

test('what is formatted is read back', () => {
  fc.assert(
    fc.property(anyUser, (user) => {
      assert.deepEqual(parseUsers(formatUser(user)), { users: [user], faults: [] });
    }),
  );
});

const FILE = `# our users\r\nbob:${HASH}:b\r\n\n  # alice:old\nalice:${HASH}:staff\n# the end`;
const carol: User = { ...alice, name: 'carol', groups: ['x'] };

test('adding leaves the other lines as they are', () => {
  assert.equal(setUser('', carol), `carol:${HASH}:x\n`);
  assert.equal(setUser('# x\n', carol), `# x\ncarol:${HASH}:x\n`);
  assert.equal(setUser(FILE, carol), `${FILE}\ncarol:${HASH}:x\n`);
});

test('replacing changes one line in its place', () => {
  assert.equal(setUser(FILE, alice), FILE.replace(':staff', ''));
  assert.equal(setUser(FILE, { ...alice, name: 'bob' }), FILE.replace(':b\r', '\r'));
});

test('removing deletes one line', () => {
  assert.equal(removeUser(FILE, 'alice'), FILE.replace(`alice:${HASH}:staff\n`, ''));
  assert.equal(removeUser(FILE, 'bob'), FILE.replace(`bob:${HASH}:b\r\n`, ''));
  assert.equal(removeUser(FILE, 'nobody'), FILE);
  assert.equal(removeUser(`alice:${HASH}\n`, 'alice'), '');
});

test('a last day lasts until its end in UTC', () => {
  const user = { ...alice, expires: '2027-01-31' };
  assert.equal(isExpired(user, Date.UTC(2027, 0, 31, 23, 59, 59, 999)), false);
  assert.equal(isExpired(user, Date.UTC(2027, 1, 1)), true);
  assert.equal(isExpired(alice, Date.UTC(9999, 1, 1)), false);
});

const NAMES: readonly [string, RegExp | undefined][] = [
  ['alice', undefined],
  ['a', undefined],
  ['', /is empty/],
  ['a'.repeat(255), undefined],
  ['a'.repeat(256), /longer than 255 bytes/],
  ['å'.repeat(128), /longer than 255 bytes/],
  ['a:b', /":"/],
  ['#a', /comment/],
  ['@a', /group/],
  [' a', /blank/],
  ['a\u{a0}', /blank/],
  ['a\nb', /control/],
  ['a\0b', /control/],
  ['a\u{85}b', /control/],
];

for (const [name, fault] of NAMES) {
  test(`the name ${JSON.stringify(name)} is ${fault === undefined ? 'good' : 'refused'}`, () => {
    if (fault === undefined) assert.equal(nameFault(name), undefined);
    else assert.match(nameFault(name) ?? 'nothing', fault);
  });
}

test('a password has 1 to 255 bytes of UTF-8', () => {
  assert.equal(passwordFault(''), 'is empty');
  assert.equal(passwordFault('å'.repeat(127)), undefined);
  assert.equal(passwordFault('å'.repeat(128)), 'is longer than 255 bytes');
  assert.equal(passwordFault('a\u{fffd}'), 'is not UTF-8 text');
});
