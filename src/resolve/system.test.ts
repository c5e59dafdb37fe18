import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULTS, parseResolvConf, type NameServers } from './system.ts';

const at = (...hosts: string[]): Partial<NameServers> => ({
  servers: hosts.map((host) => ({ host, port: 53 })),
});

const rows: readonly (readonly [name: string, text: string, says: Partial<NameServers>])[] = [
  ['an empty file', '', {}],
  ['comments', '# nameserver 10.0.0.1\n; nameserver 10.0.0.2\n', {}],
  ['servers in order', 'nameserver 10.0.0.2\nnameserver fd00::53\n', at('10.0.0.2', 'fd00::53')],
  ['a comment after the address', 'nameserver 10.0.0.2 # office\r\n', at('10.0.0.2')],
  ['a link-local server', 'nameserver fe80::1%eth0', at('fe80::1%eth0')],
  [
    'no more than three',
    [1, 2, 3, 4].map((n) => `nameserver 10.0.0.${n}`).join('\n'),
    at('10.0.0.1', '10.0.0.2', '10.0.0.3'),
  ],
  ['what is no address', 'nameserver ns.example\nnameserver\nnameserver 10.0.0.1', at('10.0.0.1')],
  ['search lists', 'search a.test b.test\ndomain c.test', {}],
  ['options', 'options ndots:2 timeout:1 attempts:3 rotate', { attempts: 3, patience: 1000 }],
  ['options out of bounds', 'options timeout:99 attempts:0', { attempts: 1, patience: 30_000 }],
  ['options that are no numbers', 'options timeout:x attempts:-1', {}],
];

for (const [name, text, says] of rows) {
  test(`resolv.conf: ${name}`, () => {
    assert.deepEqual(parseResolvConf(text), { ...DEFAULTS, ...says });
  });
}
