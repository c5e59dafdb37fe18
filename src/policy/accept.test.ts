import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { parseIp, sameIp } from '../wire/ip.ts';
import { accept } from './accept.ts';
import { compile } from './compile.ts';
import type { AcceptRuleOptions, Facts, LocalAddresses } from './policy.ts';

const INSIDE: AcceptRuleOptions = {
  name: 'inside',
  allow: true,
  from: ['10.0.0.0/8', '::1'],
  methods: ['password'],
};
const BANNED: AcceptRuleOptions = { name: 'banned', allow: false, from: ['10.6.6.0/24'] };
const MYSELF: AcceptRuleOptions = { name: 'myself', allow: true, from: ['self'] };
const OFFICE: AcceptRuleOptions = { ...INSIDE, name: 'office', listener: ['office', '10.0.3.1:1080'] };
const REST: AcceptRuleOptions = { name: 'rest', allow: true };

/** A client, and perhaps the listener. */
function from(text: string): Pick<Facts, 'client' | 'listener'> {
  const [client = '', listener = 'guests'] = text.split(' ');
  return { client: parseIp(client)!, listener };
}

/** `name`: accepted by that rule; `!name`: closed by it; `open` and `closed`: no rule matched. */
const ROWS: readonly {
  readonly name: string;
  readonly rules: readonly AcceptRuleOptions[] | undefined;
  readonly clients: Readonly<Record<string, string>>;
}[] = [
  { name: 'no accept rules: open to all', rules: undefined, clients: { '192.0.2.7': 'open', '::1': 'open' } },
  { name: 'an empty list: closed to all', rules: [], clients: { '127.0.0.1': 'closed' } },
  {
    name: 'nothing matches: closed',
    rules: [INSIDE],
    clients: { '10.1.2.3': 'inside', '::1': 'inside', '192.0.2.7': 'closed', '::2': 'closed' },
  },
  {
    name: 'the first match decides',
    rules: [BANNED, INSIDE],
    clients: { '10.6.6.6': '!banned', '10.6.7.6': 'inside' },
  },
  {
    name: 'a rule without `from` matches every client',
    rules: [BANNED, REST],
    clients: { '10.6.6.6': '!banned', '127.0.0.1': 'rest', 'fe80::1': 'rest' },
  },
  {
    name: 'a rule for a listener',
    rules: [OFFICE],
    clients: { '10.1.2.3 office': 'office', '10.1.2.3 guests': 'closed', '192.0.2.7 office': 'closed' },
  },
  { name: 'self', rules: [MYSELF], clients: { '10.0.3.1': 'myself', '10.0.3.2': 'closed' } },
  {
    name: '::ffff:0:0/96 is the IPv4 address',
    rules: [BANNED, INSIDE],
    clients: { '::ffff:10.6.6.6': '!banned', '::ffff:10.0.0.1': 'inside' },
  },
  {
    name: 'no other client address contains an IPv4 address',
    rules: [BANNED, INSIDE, MYSELF],
    clients: {
      '2002:a00:5::1': 'closed',
      '64:ff9b::a00:5': 'closed',
      '2002:a06:606::1': 'closed',
      '2002:a00:301::1': 'closed',
      '64:ff9b::7f00:1': 'closed',
    },
  },
];

const MACHINE: LocalAddresses = {
  isSelf: (ip) => sameIp(ip, parseIp('10.0.3.1')!),
  isOwnPort: () => false,
};

suite('accept', () => {
  for (const { name, rules, clients } of ROWS) {
    test(name, () => {
      const policy = compile({ ...(rules && { accept: rules }), rules: [] });
      const answers = Object.keys(clients).map((client) => {
        const { allow, rule } = accept(policy, from(client), MACHINE);
        if (rule === undefined) return [client, allow ? 'open' : 'closed'];
        return [client, allow ? rule.name : `!${rule.name}`];
      });
      assert.deepEqual(Object.fromEntries(answers), clients);
    });
  }

  test('returns the rule as written, with its methods', () => {
    const policy = compile({ accept: [INSIDE], rules: [] });
    assert.equal(accept(policy, from('10.1.2.3'), MACHINE).rule, INSIDE);
  });
});
