import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { endpoint } from './endpoint.ts';

suite('endpoint', () => {
  for (const [address, host] of [
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::ffff:c000:201', '192.0.2.1'],
    ['::192.0.2.1', '::c000:201'],
    ['FE80::1%eth0', 'fe80::1%eth0'],
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['::', '::'],
  ] as const) {
    test(`${address} is ${host}`, () => assert.deepEqual(endpoint(address, 7), { host, port: 7 }));
  }
});
