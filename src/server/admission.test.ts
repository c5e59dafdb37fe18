import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { Method } from '../policy/policy.ts';
import { chooseMethod, methodsFor, noMethod, noUser } from './admission.ts';

const NONE = 0;
const GSSAPI = 1;
const PASSWORD = 2;

const CHOICES: readonly {
  readonly methods: readonly Method[];
  readonly offered: readonly number[];
  readonly certified?: true;
  readonly chosen: Method | undefined;
}[] = [
  { methods: ['none', 'password'], offered: [PASSWORD, NONE], chosen: 'none' },
  { methods: ['password', 'none'], offered: [NONE, PASSWORD], chosen: 'password' },
  { methods: ['password', 'none'], offered: [NONE], chosen: 'none' },
  { methods: ['password'], offered: [NONE], chosen: undefined },
  { methods: ['none'], offered: [PASSWORD], chosen: undefined },
  { methods: ['none', 'password'], offered: [], chosen: undefined },
  { methods: ['none', 'password'], offered: [GSSAPI, 0x80, 0xfe], chosen: undefined },
  { methods: ['certificate'], offered: [NONE], chosen: undefined },
  { methods: ['certificate'], offered: [NONE], certified: true, chosen: 'certificate' },
  { methods: ['certificate'], offered: [PASSWORD], certified: true, chosen: undefined },
  { methods: ['certificate', 'password'], offered: [NONE, PASSWORD], chosen: 'password' },
  { methods: ['password', 'certificate'], offered: [NONE, PASSWORD], certified: true, chosen: 'password' },
];

suite('the first method that both support', () => {
  for (const { methods, offered, certified = false, chosen } of CHOICES) {
    test(`${methods.join()} of ${offered.join() || 'nothing'}${certified ? ', with a certificate' : ''}`, () => {
      assert.equal(chooseMethod(methods, offered, certified), chosen);
    });
  }
});

test('an accept rule can restrict the methods', () => {
  const listener = { methods: ['none', 'password'] } as const;
  assert.deepEqual(methodsFor({ allow: true }, listener), ['none', 'password']);
  const rule = { name: 'office', allow: true, from: ['any'], methods: ['password'] } as const;
  assert.deepEqual(methodsFor({ allow: true, rule }, listener), ['password']);
});

test('the end codes of clients that are not accepted', () => {
  const rule = { name: 'office', allow: false, from: ['any'] };
  assert.throws(() => methodsFor({ allow: false, rule }, { methods: [] }), {
    message: 'policy:accept:office',
  });
  assert.throws(() => methodsFor({ allow: false }, { methods: [] }), { message: 'policy:accept:no-rule' });
  assert.equal(noUser('password', 'expired').message, 'policy:auth:expired');
  assert.equal(noUser('certificate', 'wrong').message, 'client:greeting:certificate-user');
  assert.equal(noMethod('socks5').message, 'policy:greeting:no-method');
  assert.equal(noMethod('socks4').message, 'policy:request:no-method');
});
