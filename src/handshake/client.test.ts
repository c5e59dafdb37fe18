import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { bind, connect, withPassword } from '../../test/support/transcripts.ts';
import { inspect } from 'node:util';
import { addressOf, AddressType } from '../wire/address.ts';
import { WireError } from '../wire/error.ts';
import { ClientHandshake } from './client.ts';
import type { ClientHandshakeOptions } from './protocol.ts';

suite('values that cannot be sent throw a RangeError at once', () => {
  const rows: readonly (readonly [name: string, options: ClientHandshakeOptions])[] = [
    ['a name in SOCKS4', { ...connect, protocol: 'socks4' }],
    ['IPv6 in SOCKS4A', { ...connect, protocol: 'socks4a', destination: addressOf('::1', 80) }],
    ['BIND in HTTP', { ...bind, protocol: 'http' }],
    [
      'a name in HTTP that is not ASCII',
      { ...connect, protocol: 'http', destination: addressOf('ü.example', 80) },
    ],
    ['a user id of 256 bytes', { ...bind, protocol: 'socks4', userId: 'a'.repeat(256) }],
    [
      'a name of 128 letters of two bytes',
      { ...connect, destination: { type: AddressType.name, host: 'ü'.repeat(128), port: 80 } },
    ],
    ['an empty user name', { ...connect, credentials: { username: '', password: 'secret' } }],
    [
      'a user name of 256 bytes',
      { ...connect, credentials: { username: 'a'.repeat(256), password: 'secret' } },
    ],
  ];
  for (const [name, options] of rows) {
    test(name, () => {
      assert.throws(() => new ClientHandshake(options), RangeError);
    });
  }
});

test('the password is neither in an error nor in the handshake as Node prints them', () => {
  const password = 'secret'.repeat(50);
  assert.throws(
    () => new ClientHandshake({ ...connect, credentials: { username: 'alice', password } }),
    (error) => error instanceof RangeError && !inspect(error, { showHidden: true }).includes('secret'),
  );
  const handshake = new ClientHandshake(withPassword);
  handshake.start();
  handshake.receive(Uint8Array.of(5, 1));
  assert.throws(
    () => handshake.next(),
    (error) => error instanceof WireError && !inspect(error, { showHidden: true }).includes('secret'),
  );
  assert.doesNotMatch(inspect(handshake, { showHidden: true, depth: 9 }), /secret|73 65 63|115, 101/);
});

test('a call in the wrong state throws an Error', () => {
  const handshake = new ClientHandshake(connect);
  assert.throws(() => handshake.trailing(), /state start/);
  handshake.start();
  assert.throws(() => handshake.start(), /state method/);
});

test('a closed handshake accepts nothing more', () => {
  const handshake = new ClientHandshake(connect);
  handshake.start();
  handshake.receive(Uint8Array.of(5, 0xff));
  assert.deepEqual(handshake.next(), { type: 'refused', phase: 'method' });
  handshake.receive(Uint8Array.of(5, 0));
  assert.equal(handshake.next(), undefined);
  assert.equal(handshake.trailing().length, 0);
});

suite('an HTTP server that closes before the empty line', () => {
  const rows: readonly (readonly [head: string, outcome: string | undefined])[] = [
    ['HTTP/1.1 403 Forbidden\r\n', 'no 403'],
    ['HTTP/1.1 504 Late\r\nContent-Length: 9\r\nX', 'no 504'],
    ['HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 No\r\n', 'no 503'],
    ['HTTP/1.1 407 No\r\n', 'refused method'],
    ['HTTP/1.1 403 Forbidden', 'no 403'],
    ['HTTP/1.1 403\n\n', 'no 403'],
    ['HTTP/1.1 407', 'refused method'],
    ['HTTP/1.1 40', undefined],
    ['HTTP/1.1 200 OK\r\n', undefined],
    ['HTTP/1.1 100 Continue\r\n', undefined],
    ['', undefined],
  ];
  for (const [head, outcome] of rows) {
    test(JSON.stringify(head), () => {
      const handshake = new ClientHandshake({ ...connect, protocol: 'http' });
      handshake.start();
      handshake.receive(Buffer.from(head));
      assert.equal(handshake.next(), undefined);
      const event = handshake.ended();
      const found =
        event?.type === 'reply'
          ? `${event.ok ? 'ok' : 'no'} ${event.code}`
          : event && `${event.type} ${event.phase}`;
      assert.equal(found, outcome);
      assert.equal(handshake.state, 'closed');
    });
  }
});
