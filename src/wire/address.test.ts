import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Address, addressOf, AddressType, formatAddress } from './address.ts';

const rows: readonly (readonly [host: string, address: Omit<Address, 'port'>, text: string])[] = [
  ['192.0.2.1', { type: AddressType.ipv4, host: '192.0.2.1' }, '192.0.2.1:80'],
  ['2001:DB8:0::1', { type: AddressType.ipv6, host: '2001:db8::1' }, '[2001:db8::1]:80'],
  ['fe80::1%eth0', { type: AddressType.ipv6, host: 'fe80::1' }, '[fe80::1]:80'],
  ['::ffff:192.0.2.1', { type: AddressType.ipv6, host: '::ffff:192.0.2.1' }, '[::ffff:192.0.2.1]:80'],
  ['example.com', { type: AddressType.name, host: 'example.com' }, 'example.com:80'],
  ['Example.COM.', { type: AddressType.name, host: 'Example.COM.' }, 'Example.COM.:80'],
  ['127.1', { type: AddressType.name, host: '127.1' }, '127.1:80'],
  ['192.0.2.1%eth0', { type: AddressType.name, host: '192.0.2.1%eth0' }, '192.0.2.1%eth0:80'],
  ['', { type: AddressType.name, host: '' }, ':80'],
];

for (const [host, expected, text] of rows) {
  test(`${JSON.stringify(host)} is sent as ${text}`, () => {
    const address = addressOf(host, 80);
    assert.deepEqual(address, { ...expected, port: 80 });
    assert.equal(formatAddress(address), text);
  });
}
