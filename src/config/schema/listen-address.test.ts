import assert from 'node:assert/strict';
import { networkInterfaces } from 'node:os';
import { test } from 'node:test';
import { addressesOf, listenAddress } from './listen-address.ts';

test('addresses to listen on', () => {
  const rows = [
    ['127.0.0.1:1080', '127.0.0.1', 1080],
    ['0.0.0.0:0', '0.0.0.0', 0],
    ['[::]:65535', '::', 65_535],
    ['[2001:DB8::1]:1080', '2001:DB8::1', 1080],
    ['[fe80::1%eth0]:1080', 'fe80::1%eth0', 1080],
    ['eth0:1080', 'eth0', 1080],
    ['localhost:1080', 'localhost', 1080],
  ] as const;
  for (const [text, host, port] of rows) assert.deepEqual(listenAddress.parse(text), { host, port }, text);
});

test('unix sockets, and sockets passed by systemd', () => {
  assert.deepEqual(listenAddress.parse('unix:/run/garter.sock'), { path: '/run/garter.sock' });
  assert.deepEqual(listenAddress.parse('systemd'), { activated: '' });
  assert.deepEqual(listenAddress.parse('systemd:garter.socket'), { activated: 'garter.socket' });
});

test('what is not an address to listen on', () => {
  const rows = [
    ['127.0.0.1', /not an address with a port/],
    ['1080', /not an address with a port/],
    [1080, /not text/],
    ['::1:1080', /ambiguous/],
    ['::1', /ambiguous/],
    ['[127.0.0.1]:1080', /not an IPv6 address/],
    [':1080', /has no address/],
    ['*:1080', /has no address/],
    ['127.0.0.1:65536', /no port 65536/],
    ['127.0.0.1:80:80', /not an address with a port/],
    ['unix:', /path is missing/],
    [`unix:/${'a'.repeat(107)}`, /at most 107 bytes/],
    ['systemd:', /not an address with a port/],
    ['', /not text/],
  ] as const;
  for (const [text, message] of rows) {
    assert.match(listenAddress.safeParse(text).error!.issues[0]!.message, message, String(text));
  }
});

test('an interface means its addresses, except link-local ones', () => {
  for (const [name, list = []] of Object.entries(networkInterfaces())) {
    const addresses = list.map(({ address }) => address).filter((address) => !address.startsWith('fe80:'));
    if (addresses.length > 0) assert.deepEqual(addressesOf(name), addresses);
  }
  assert.deepEqual(addressesOf('[::1]'.slice(1, -1)), ['::1']);
  assert.deepEqual(addressesOf('FE80::1%eth0'), ['fe80::1%eth0']);
  assert.throws(() => addressesOf('fe80::1'), { name: 'ValueError', remedy: /fe80::1%/ });
  assert.equal(addressesOf('localhost')[0], '127.0.0.1');
  assert.throws(() => addressesOf('example.com'), { name: 'ValueError', remedy: /interfaces/ });
  assert.throws(() => addressesOf('127.1'), { name: 'ValueError' });
});
