import assert from 'node:assert/strict';
import { test } from 'node:test';
import { alongside, deviceIn, egressFrom, isThere } from './egress.ts';

/** The address that the client has connected to, the destination, and the expected source. */
const SAME: readonly (readonly [string | undefined, string, string | undefined])[] = [
  ['192.0.2.7', '198.51.100.1', '192.0.2.7'],
  ['192.0.2.7', '127.0.0.1', '192.0.2.7'],
  ['192.0.2.7', '2001:db8::1', undefined],
  ['2001:db8::7', '2001:db8::1', '2001:db8::7'],
  // A local client, like those of an agent: the kernel would not send from there.
  ['127.0.0.1', '198.51.100.1', undefined],
  ['127.0.0.5', '127.0.0.1', '127.0.0.5'],
  ['127.0.0.5', '0.0.0.0', '127.0.0.5'],
  ['::1', '2001:db8::1', undefined],
  ['::1', '::1', '::1'],
  ['169.254.3.4', '198.51.100.1', undefined],
  ['169.254.3.4', '169.254.5.6', '169.254.3.4'],
  ['fe80::7', '2001:db8::1', undefined],
  ['fe80::7', 'fe80::1', 'fe80::7'],
  [undefined, '198.51.100.1', undefined],
];

test('the address that the client connected to, if it can reach the destination', () => {
  for (const [incoming, to, expected] of SAME)
    assert.equal(
      egressFrom({ addresses: [], rotate: 'same-as-incoming' }, incoming)(to),
      expected,
      `${incoming} to ${to}`,
    );
});

test('with a list, it must be listed; otherwise the first is used', () => {
  const egress = { addresses: ['192.0.2.7', '192.0.2.8', '127.0.0.1'], rotate: 'same-as-incoming' } as const;
  for (const [incoming, to, expected] of [
    ['192.0.2.8', '198.51.100.1', '192.0.2.8'],
    ['192.0.2.9', '198.51.100.1', '192.0.2.7'],
    ['127.0.0.1', '198.51.100.1', '192.0.2.7'],
    ['127.0.0.1', '127.0.0.9', '127.0.0.1'],
  ] as const)
    assert.equal(egressFrom(egress, incoming)(to), expected, `${incoming} to ${to}`);
});

test('without an address of the family there is no route', () => {
  const from = egressFrom({ addresses: ['192.0.2.7'], rotate: 'none' }, undefined);
  assert.equal(from('198.51.100.1'), '192.0.2.7');
  assert.throws(() => from('2001:db8::1'), { code: 'EADDRNOTAVAIL' });
});

test('an interface means its addresses, each bound to it', () => {
  const egress = { addresses: ['lo'], rotate: 'none' } as const;
  assert.equal(egressFrom(egress, undefined)('192.0.2.1'), '127.0.0.1%lo');
  assert.equal(
    egressFrom({ addresses: ['192.0.2.7', 'lo'], rotate: 'same-as-incoming' }, '127.0.0.1')('127.0.0.9'),
    '127.0.0.1%lo',
  );
  assert.throws(() => egressFrom(egress, undefined)('fe80::1'), { code: 'EADDRNOTAVAIL' });
  assert.throws(() => egressFrom({ ...egress, addresses: ['garter0'] }, undefined)('192.0.2.1'), {
    code: 'EADDRNOTAVAIL',
  });
  assert.equal(deviceIn({ addresses: ['192.0.2.7', 'lo'], rotate: 'none' }), 'lo');
  assert.equal(deviceIn({ addresses: ['192.0.2.7', 'fe80::1%eth0'], rotate: 'none' }), undefined);
});

test('an address that an interface still has', () => {
  for (const [local, expected] of [
    ['127.0.0.1%lo', true],
    ['192.0.2.7%lo', false],
    ['127.0.0.1%garter0', false],
    ['192.0.2.7', true],
  ] as const)
    assert.equal(isThere(local), expected, local);
});

test('another socket uses the same source as the connection', () => {
  const rotate = 'random';
  assert.equal(alongside({ addresses: ['192.0.2.7', 'lo'], rotate }, '127.0.0.1'), '127.0.0.1%lo');
  assert.equal(alongside({ addresses: ['192.0.2.7', 'lo'], rotate }, '192.0.2.7'), '192.0.2.7');
  assert.equal(alongside({ addresses: [], rotate }, '192.0.2.7'), '192.0.2.7');
  assert.throws(() => alongside({ addresses: ['lo'], rotate }, '192.0.2.7'), { code: 'EADDRNOTAVAIL' });
});
