import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settingsFromObject } from '../load.ts';

/** Whether the second of two rules, written as in a file, is reported. */
function isUnreachable(earlier: object, later: object, more: object = {}): boolean {
  const { errors } = settingsFromObject({ listen: LISTEN, rules: [earlier, later], ...more }, true);
  for (const { message } of errors) assert.match(message, /never reached/);
  return errors.length > 0;
}

const LISTEN = [{ name: 'office', address: '127.0.0.1:1080' }, { address: '[::1]:0' }];
const ANY = { to: 'any' };
const RANGES = ['192.0.3.0/24', '2001:db7::/32'];

/** The first covers the second. */
const COVERED: readonly (readonly [object, object])[] = [
  [
    { deny: 'any', ...ANY },
    { allow: 'any', ...ANY },
  ],
  [
    { deny: 'any', ...ANY },
    { allow: 'connect', to: ['loopback', 'self', 'metadata', 'a.example', '192.0.3.1'] },
  ],
  [
    { allow: 'any', ...ANY },
    { allow: 'bind', ...ANY },
  ],
  [
    { allow: 'any', ...ANY },
    { deny: 'any', to: ['private', 'public', '.internal', '192.0.3.1', '10.0.0.0/8'] },
  ],
  [
    { allow: 'any', ...ANY },
    { allow: 'any', to: ['private', 'public', 'a.example', ...RANGES] },
  ],
  [
    { allow: 'any', to: RANGES },
    { allow: 'any', to: ['192.0.3.128/25', '2001:db7:1::/48'] },
  ],
  [
    { allow: 'any', to: ['192.0.3.0/25', '192.0.3.128/25'] },
    { deny: 'any', to: '192.0.3.0/24' },
  ],
  [
    { allow: 'any', to: ['loopback', 'self'] },
    { deny: 'any', to: ['127.0.0.0/16', '::1', 'self'] },
  ],
  [
    { allow: 'any', to: 'public' },
    { deny: 'any', to: ['public', '8.8.8.8'] },
  ],
  [
    { deny: 'any', to: 'link-local' },
    { allow: 'any', to: '169.254.169.254' },
  ],
  [
    { allow: 'any', to: '192.0.3.1' },
    { allow: 'any', to: '192.0.3.1' },
  ],
  [
    { deny: 'any', to: ['0.0.0.0/0', '::/0'] },
    { deny: 'any', to: 'any' },
  ],
  [
    { deny: 'any', to: '.example.com' },
    { allow: 'any', to: ['example.com', 'WWW.example.com', '.a.example.com'] },
  ],
  [
    { allow: ['connect', 'bind'], ...ANY },
    { allow: 'bind', ...ANY },
  ],
  [
    { allow: 'any', from: 'private', ...ANY },
    { allow: 'any', from: ['10.0.0.0/8', 'private'], ...ANY },
  ],
  [
    { allow: 'any', from: 'any', ...ANY },
    { allow: 'any', from: ['self', 'public', 'loopback'], ...ANY },
  ],
  [
    { allow: 'any', from: ['0.0.0.0/0', '::/0'], ...ANY },
    { allow: 'any', ...ANY },
  ],
  [
    { allow: 'any', listener: ['office', '[::1]:0'], ...ANY },
    { allow: 'any', listener: '127.0.0.1:1080', ...ANY },
  ],
  [
    { allow: 'any', user: ['alice', '@staff'], ...ANY },
    { deny: 'any', user: 'alice', to: 'public' },
  ],
  [
    { allow: 'any', port: '1-1023', ...ANY },
    { allow: 'any', port: [80, '443-444'], ...ANY },
  ],
  [
    { allow: 'any', port: '0-65535', ...ANY },
    { allow: 'any', ...ANY },
  ],
  [
    { allow: 'any', protocol: 'socks5', ...ANY },
    { allow: 'any', protocol: 'socks5', 'source-port': 1, ...ANY },
  ],
  [
    { allow: 'any', method: 'password', ...ANY },
    { allow: 'any', ...ANY },
  ],
  [
    { allow: 'any', when: { days: 'mon-fri', zone: 'UTC' }, ...ANY },
    { allow: 'any', when: { days: 'tue', zone: 'UTC' }, ...ANY },
  ],
];

/** The second still matches something. */
const REACHABLE: readonly (readonly [object, object])[] = [
  // An allowing `any` leaves the special addresses to later rules.
  [
    { allow: 'any', ...ANY },
    { deny: 'any', ...ANY },
  ],
  [
    { allow: 'any', ...ANY },
    { deny: 'any', to: '0.0.0.0/0' },
  ],
  [
    { allow: 'any', ...ANY },
    { allow: 'any', to: 'loopback' },
  ],
  [
    { allow: 'any', ...ANY },
    { allow: 'any', to: '127.0.0.0/8' },
  ],
  [
    { allow: 'any', ...ANY },
    { deny: 'any', to: 'metadata' },
  ],
  [
    { allow: 'any', ...ANY },
    { allow: 'any', to: 'self' },
  ],
  [
    { allow: 'any', to: '0.0.0.0/0' },
    { allow: 'any', to: '127.0.0.1' },
  ],
  // It may be an address of this machine, which must be named.
  [
    { allow: 'any', ...ANY },
    { allow: 'any', to: '192.0.3.1' },
  ],
  [
    { allow: 'any', to: 'public' },
    { allow: 'any', to: 'a.example' },
  ],
  [
    { deny: 'any', to: 'public' },
    { allow: 'any', to: 'any' },
  ],
  [
    { deny: 'any', to: 'www.example.com' },
    { allow: 'any', to: '.example.com' },
  ],
  [
    { deny: 'any', to: '.example.com' },
    { allow: 'any', to: 'badexample.com' },
  ],
  [
    { deny: 'any', to: '192.0.3.0/25' },
    { allow: 'any', to: '192.0.3.0/24' },
  ],
  [
    { deny: 'bind', ...ANY },
    { allow: ['connect', 'bind'], ...ANY },
  ],
  [
    { deny: 'any', from: '10.0.0.0/8', ...ANY },
    { allow: 'any', from: ['10.0.0.0/8', '192.0.3.1'], ...ANY },
  ],
  [
    { deny: 'any', from: 'private', ...ANY },
    { allow: 'any', ...ANY },
  ],
  [
    { deny: 'any', listener: 'office', ...ANY },
    { allow: 'any', listener: ['office', '[::1]:0'], ...ANY },
  ],
  [
    { deny: 'any', user: 'alice', ...ANY },
    { allow: 'any', ...ANY },
  ],
  [
    { deny: 'any', user: '@staff', ...ANY },
    { allow: 'any', user: 'alice', ...ANY },
  ],
  [
    { deny: 'any', port: '1-1023', ...ANY },
    { allow: 'any', port: '1000-1024', ...ANY },
  ],
  [
    { deny: 'any', 'source-port': 1, ...ANY },
    { allow: 'any', ...ANY },
  ],
  [
    { deny: 'any', protocol: 'socks4', ...ANY },
    { allow: 'any', ...ANY },
  ],
  [
    { deny: 'any', when: { days: 'sat', zone: 'UTC' }, ...ANY },
    { allow: 'any', ...ANY },
  ],
  [
    { deny: 'any', when: { hours: '08:00-18:00', zone: 'UTC' }, ...ANY },
    { allow: 'any', when: { zone: 'UTC' }, ...ANY },
  ],
  [
    { deny: 'any', when: { zone: 'UTC' }, ...ANY },
    { allow: 'any', when: { zone: 'Europe/Oslo' }, ...ANY },
  ],
];

test('a rule that an earlier one covers is found', () => {
  for (const rules of COVERED) assert(isUnreachable(...rules), JSON.stringify(rules));
});

test('a rule that still matches something is not reported', () => {
  for (const rules of REACHABLE) assert(!isUnreachable(...rules), JSON.stringify(rules));
});

test('accept rules too', () => {
  const accept = [
    { name: 'a', allow: true, from: '10.0.0.0/8' },
    { name: 'b', allow: false, from: ['10.1.0.0/16', '10.2.3.4'] },
    { name: 'c', allow: true },
    { name: 'd', allow: true, from: 'loopback' },
    { name: 'e', allow: true, listener: '127.0.0.1:1080' },
  ];
  const { errors } = settingsFromObject({ accept }, true);
  assert.deepEqual(
    errors.map(({ where, message }) => [where, message]),
    [
      ['accept[1]', 'the rule "b" is never reached: "a" at accept[0] matches all of it'],
      ['accept[3]', 'the rule "d" is never reached: "c" at accept[2] matches all of it'],
      ['accept[4]', 'the rule "e" is never reached: "c" at accept[2] matches all of it'],
    ],
  );
});

test('a network in an allowing rule leaves translated NAT64 addresses to a denial', () => {
  const rules = [
    { allow: 'any', to: '2001:db7::/32' },
    { deny: 'any', to: '2001:db7:64::a00:0/104' },
  ] as const;
  assert(isUnreachable(...rules));
  assert(!isUnreachable(...rules, { nat64: '2001:db7:64::/96' }));
  assert(!isUnreachable(rules[0], { deny: 'any', to: '2001:db7::/32' }, { nat64: '2001:db7:64::/96' }));
  assert(!isUnreachable({ allow: 'any', to: '2002::/15' }, { deny: 'any', to: '2002::/15' }));
});

/** A denial, and an allowance before it that is no exception. */
const LATE: readonly (readonly object[])[] = [
  [
    { allow: 'connect', port: [80, 443], ...ANY },
    { deny: 'any', to: ['private'] },
  ],
  [
    { allow: 'connect', port: [80, 443], ...ANY },
    { deny: 'any', to: ['.ads.example'] },
  ],
  [
    { allow: 'connect', port: 443, to: 'public' },
    { deny: 'any', to: ['.ads.example'] },
  ],
  [
    { allow: 'connect', port: 443, to: '.example' },
    { deny: 'any', to: ['.bad.example'] },
  ],
  [
    { allow: 'any', to: '.example' },
    { deny: 'any', to: ['.bad.example', '.other'] },
  ],
  [
    { allow: 'any', to: 'public' },
    { deny: 'any', to: ['198.51.101.0/24', '172.16.0.0/12'] },
  ],
  [
    { allow: 'connect', to: '10.0.0.0/8' },
    { deny: 'any', to: '10.1.0.0/16' },
  ],
  [
    { allow: 'any', ...ANY },
    { deny: 'any', port: 25, ...ANY },
  ],
  [
    { allow: 'any', ...ANY },
    { deny: 'any', user: 'bob', ...ANY },
  ],
  [
    { allow: 'connect', to: 'public' },
    { deny: 'any', port: 25, ...ANY },
  ],
  [
    { allow: 'connect', from: '10.0.0.0/8', port: 443, ...ANY },
    { deny: 'any', from: '10.1.0.0/16', to: 'private' },
  ],
];

/** A denial, and an exception from it. */
const EXCEPTIONS: readonly (readonly object[])[] = [
  [
    { allow: 'any', user: '@admins', ...ANY },
    { deny: 'any', to: 'private' },
  ],
  [
    { allow: 'any', from: '10.0.0.0/8', ...ANY },
    { deny: 'any', port: 25, ...ANY },
  ],
  [
    { allow: 'any', when: { hours: '12:00-13:00' }, ...ANY },
    { deny: 'any', to: '.video.example' },
  ],
  [
    { allow: 'connect', to: '10.0.0.5', port: 22 },
    { deny: 'any', to: '10.0.0.5' },
  ],
  [
    { allow: 'connect', to: '10.0.0.5', port: 22 },
    { deny: 'any', to: 'private' },
  ],
  [
    { allow: 'any', to: '.example' },
    { deny: 'any', to: 'public' },
  ],
  [
    { allow: 'any', to: ['.a.example', '.b.example'], port: 443 },
    { deny: 'any', to: '.b.example' },
  ],
  [
    { allow: 'any', to: 'public', port: 443 },
    { deny: 'any', ...ANY },
  ],
  [
    { allow: 'any', ...ANY },
    { deny: 'any', ...ANY },
  ],
  [
    { allow: 'any', ...ANY },
    { deny: 'any', to: ['metadata', 'loopback'] },
  ],
  [
    { allow: 'any', to: '10.0.0.0/8' },
    { deny: 'connect', port: 25, ...ANY },
  ],
  [
    { allow: 'connect', port: [80, 443], ...ANY },
    { deny: 'any', port: 25, ...ANY },
  ],
  [
    { allow: 'connect', ...ANY },
    { deny: 'udp', to: 'private' },
  ],
  [
    { allow: 'any', to: '10.0.0.0/8' },
    { deny: 'any', to: '.internal' },
  ],
];

function isLate(...rules: readonly object[]): boolean {
  const { errors, warnings } = settingsFromObject({ rules }, true);
  assert.deepEqual(errors, [], JSON.stringify(rules));
  return warnings.some(({ path, message }) => path?.[1] === 1 && message.startsWith('too late: '));
}

test('a denial behind a wider allowance is found', () => {
  for (const rules of LATE) assert(isLate(...rules), JSON.stringify(rules));
});

test('an exception before its denial is not reported', () => {
  for (const rules of EXCEPTIONS) assert(!isLate(...rules), JSON.stringify(rules));
});
