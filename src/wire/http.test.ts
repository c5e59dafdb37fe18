import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { inspect } from 'node:util';
import { AddressType } from './address.ts';
import { WireError } from './error.ts';
import {
  decodeBasic,
  decodeConnectTarget,
  decodeHttpReply,
  decodeHttpRequest,
  encodeConnect,
  encodeHttpReply,
  replyToStatus,
} from './http.ts';
import { Reply } from './socks5.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const lines = (...all: readonly string[]): string => `${all.join('\r\n')}\r\n\r\n`;
const isFault = { name: 'WireError', code: 'ERR_HTTP_HEAD' };

suite('a request', () => {
  const text = lines(
    'CONNECT www.example.com:443 HTTP/1.1',
    'Host: www.example.com:443',
    'X-A: 1',
    'x-a:2 \t',
  );

  test('is read when it is complete, whatever follows it', () => {
    for (const rest of ['', '\x16\x03\x01', 'GET / HTTP/1.1\r\n\r\n']) {
      const decoded = decodeHttpRequest(bytes(text + rest));
      assert.equal(decoded?.size, text.length);
      const { method, target, headers } = decoded.value;
      assert.deepEqual([method, target], ['CONNECT', 'www.example.com:443']);
      assert.deepEqual(
        [...headers],
        [
          ['host', 'www.example.com:443'],
          ['x-a', '1, 2'],
        ],
      );
    }
    for (let size = 0; size < text.length; size++)
      assert.equal(decodeHttpRequest(bytes(text.slice(0, size))), undefined, `${size} bytes`);
  });

  const faults = [
    lines('CONNECT www.example.com:443'),
    lines('CONNECT  www.example.com:443 HTTP/1.1'),
    lines('CONNECT www.example.com:443 HTTP/2.0'),
    lines('CONNECT www.example.com:443 HTTP/1.1', 'no colon'),
    lines('CONNECT www.example.com:443 HTTP/1.1', 'Host : a'),
    lines('CONNECT www.example.com:443 HTTP/1.1', 'A: 1', ' folded'),
    lines('CONNECT www.example.com:443 HTTP/1.1', 'A: \0'),
    lines('CONNECT www.example.com:443 HTTP/1.1\nA: 1'),
    `CONNECT www.example.com:443 HTTP/1.1\r\nA: ${'a'.repeat(16_384)}`,
  ];
  for (const fault of faults) {
    test(`${inspect(fault.slice(0, 60))} is refused`, () => {
      assert.throws(() => decodeHttpRequest(bytes(fault)), isFault);
    });
  }
});

// The costs are measured in test/fuzz/costs.ts.
test('input that would be scanned repeatedly is refused, or read', () => {
  const blanks = ' '.repeat(16_000);
  assert.throws(() => decodeHttpRequest(bytes(lines('CONNECT a:1 HTTP/1.1', `X:${blanks}\n`))), isFault);
  assert.equal(
    decodeHttpRequest(
      bytes(lines('CONNECT a:1 HTTP/1.1', `X:${blanks}y${blanks.slice(1000)}`.slice(0, 16_000))),
    )?.value.headers.size,
    1,
  );
  assert.throws(() => decodeHttpRequest(bytes('\r'.repeat(16_000))), isFault);
  assert.throws(
    () => decodeHttpReply(bytes(lines('HTTP/1.1 100 a', `X: ${'x'.repeat(9000)}`).repeat(2))),
    isFault,
  );
});

function requestOf(size: number): Uint8Array {
  const around = lines('CONNECT a:1 HTTP/1.1', 'X: ').length;
  return bytes(lines('CONNECT a:1 HTTP/1.1', `X: ${'x'.repeat(size - around)}`));
}

test('a request may have 16,384 bytes, not more, and partial input gives the same result', () => {
  const longest = requestOf(16_384);
  assert.equal(decodeHttpRequest(longest)?.size, 16_384);
  for (let size = 16_378; size < 16_384; size++)
    assert.equal(decodeHttpRequest(longest.subarray(0, size)), undefined, `${size} bytes`);
  for (let size = 16_385; size < 16_390; size++)
    assert.throws(() => decodeHttpRequest(requestOf(size)), isFault, `${size} bytes`);
});

suite('the target of CONNECT', () => {
  const rows = [
    ['www.example.com:443', { type: AddressType.name, host: 'www.example.com', port: 443 }],
    ['192.0.2.1:0', { type: AddressType.ipv4, host: '192.0.2.1', port: 0 }],
    ['[2001:DB8::1]:65535', { type: AddressType.ipv6, host: '2001:db8::1', port: 65_535 }],
  ] as const;
  for (const [target, address] of rows) {
    test(target, () => {
      assert.deepEqual(decodeConnectTarget(target), address);
    });
  }
  for (const target of [
    'www.example.com',
    ':443',
    'a:65536',
    'a:1x',
    'http://a:80',
    '/',
    'a@b:80',
    '2001:db8::1:80',
    '[dead]:80',
    '[192.0.2.1]:80',
    '[1:2]:80',
    '*',
  ]) {
    test(`${target} is refused`, () => {
      assert.throws(() => decodeConnectTarget(target), isFault);
    });
  }
});

suite('user name and password', () => {
  const rows = [
    ['Basic YWxpY2U6czNjcmV0', { username: 'alice', password: 's3cret' }],
    ['basic  YTpiOmM= ', { username: 'a', password: 'b:c' }],
    ['Basic w6U6w6U=', { username: 'å', password: 'å' }],
    ['Basic Og==', { username: '', password: '' }],
    ['Basic YWxpY2U=', undefined],
    ['Basic /////w==', undefined],
    ['Basic !!!', undefined],
    ['Basic', undefined],
    ['Bearer YWxpY2U6czNjcmV0', undefined],
    [`Basic ${btoa(`a:${'b'.repeat(255)}`)}`, { username: 'a', password: 'b'.repeat(255) }],
    [`Basic ${btoa(`a:${'b'.repeat(256)}`)}`, undefined],
    [`Basic ${btoa(`${'a'.repeat(256)}:b`)}`, undefined],
  ] as const;
  for (const [field, credentials] of rows) {
    test(field.slice(0, 40), () => {
      assert.deepEqual(decodeBasic(field), credentials);
    });
  }
});

test('CONNECT is decoded as it was encoded', () => {
  const credentials = { username: 'alice', password: 'a:å' };
  const sent = encodeConnect({ host: '2001:db8::1', port: 443 }, credentials);
  const { value } = decodeHttpRequest(sent)!;
  assert.equal(value.method, 'CONNECT');
  assert.equal(value.headers.get('host'), '[2001:db8::1]:443');
  assert.deepEqual(decodeConnectTarget(value.target), {
    type: AddressType.ipv6,
    host: '2001:db8::1',
    port: 443,
  });
  assert.deepEqual(decodeBasic(value.headers.get('proxy-authorization')!), credentials);
});

test('what HTTP cannot carry is a RangeError that does not contain the password', () => {
  for (const host of [
    'a b',
    'å.example',
    'a\r\nX: y',
    '',
    'a/b',
    'a:1',
    'a@b',
    '[dead]',
    '[::1]',
    'a'.repeat(256),
  ])
    assert.throws(() => encodeConnect({ host, port: 80 }), RangeError);
  assert.throws(
    () => encodeConnect({ host: 'a', port: 80 }, { username: 'a:b', password: 's3cret' }),
    (error) => error instanceof RangeError && !inspect(error).includes('s3cret'),
  );
});

suite('an answer', () => {
  test('each reply survives encoding', () => {
    for (const reply of Object.values(Reply)) {
      const { value } = decodeHttpReply(encodeHttpReply(reply))!;
      const expected = reply === Reply.addressTypeNotSupported ? Reply.generalFailure : reply;
      const isRefusedCommand = reply === Reply.commandNotSupported;
      assert.equal(
        isRefusedCommand ? replyToStatus(value.status) : (value.reason ?? replyToStatus(value.status)),
        expected,
      );
    }
  });

  const rows = [
    [lines('HTTP/1.1 200 OK'), { status: 200 }],
    [lines('HTTP/1.0 200'), { status: 200 }],
    [lines('HTTP/1.1 200 Connection established', 'Transfer-Encoding: chunked'), { status: 200 }],
    [`${lines('HTTP/1.1 100 Continue')}${lines('HTTP/1.1 204 OK')}`, { status: 204 }],
    [
      lines('HTTP/1.1 502 Bad Gateway', 'Proxy-Status: a; error=dns_error, b; error=connection_refused'),
      { status: 502, reason: 4 },
    ],
    [lines('HTTP/1.1 502 Bad Gateway', 'Proxy-Status: a; error=something_new'), { status: 502 }],
  ] as const;
  for (const [text, expected] of rows) {
    test(inspect(text), () => {
      assert.deepEqual(decodeHttpReply(bytes(`${text}rest`)), { value: expected, size: text.length });
      for (let size = 0; size < text.length; size++)
        assert.equal(decodeHttpReply(bytes(text.slice(0, size))), undefined);
    });
  }

  for (const text of [
    lines('SSH-2.0-OpenSSH'),
    lines('HTTP/1.1 999 x'),
    lines('HTTP/1.1 100 a').repeat(1000),
  ]) {
    test(`${inspect(text.slice(0, 40))} is refused`, () => {
      assert.throws(
        () => decodeHttpReply(bytes(text)),
        (error) => error instanceof WireError && error.code === 'ERR_HTTP_HEAD',
      );
    });
  }
});
