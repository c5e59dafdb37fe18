import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatIp, parseIp } from '../wire/ip.ts';
import { addressesOf, nameOf, parseHosts } from './hosts.ts';

const hosts = parseHosts(`
# a comment
127.0.0.1\tlocalhost
10.0.0.1  Gateway gw   # the way out
10.0.0.1  router
fd00::1   gateway
10.0.0.1  gateway
fe80::1%eth0 zoned
not-an-address  name
10.0.0.2
10.0.0.3  windows\r
`);

const empty = parseHosts('');

function forward(name: string, file = hosts): string[] {
  return addressesOf(name, file).map(formatIp);
}

function backward(literal: string, file = hosts): string | undefined {
  return nameOf(parseIp(literal)!, file);
}

test('a name has every address of its lines, each once', () => {
  assert.deepEqual(forward('gateway'), ['10.0.0.1', 'fd00::1']);
  assert.deepEqual(forward('gw'), ['10.0.0.1']);
  assert.deepEqual(forward('windows'), ['10.0.0.3']);
});

test('invalid lines are skipped', () => {
  for (const name of ['way', 'out', '#', 'name', 'zoned', '10.0.0.2', ''])
    assert.deepEqual(forward(name), []);
});

test('an address has the first name of its first line', () => {
  assert.equal(backward('10.0.0.1'), 'gateway');
  assert.equal(backward('fd00::1'), 'gateway');
  assert.equal(backward('10.0.0.2'), undefined);
});

test('localhost is loopback, whatever the file contains', () => {
  const other = parseHosts('10.0.0.1 localhost a.localhost\n127.0.0.9 b.localhost\n10.0.0.2 b.localhost');
  for (const name of ['localhost', 'a.localhost'])
    assert.deepEqual(forward(name, other), ['127.0.0.1', '::1']);
  assert.deepEqual(forward('b.localhost', other), ['127.0.0.9']);
  assert.deepEqual(forward('localhost'), ['127.0.0.1']);
  for (const name of ['localhost', 'app.localhost', 'a.b.localhost']) {
    assert.deepEqual(forward(name, empty), ['127.0.0.1', '::1']);
  }
  assert.deepEqual(forward('localhost.example', empty), []);
  assert.equal(backward('127.0.0.1', empty), 'localhost');
  assert.equal(backward('::1', empty), 'localhost');
  assert.equal(backward('127.0.0.2', empty), undefined);
});
