import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseProxy } from './proxy.ts';
import type { Proxy } from './proxy.ts';

const URLS: readonly (readonly [url: string, proxy: Proxy])[] = [
  ['socks5h://proxy.example', { scheme: 'socks5h', host: 'proxy.example', port: 1080 }],
  ['SOCKS5://[2001:DB8::1]:1081/', { scheme: 'socks5', host: '2001:db8::1', port: 1081 }],
  ['socks4a://id@127.0.0.1:9', { scheme: 'socks4a', host: '127.0.0.1', port: 9, username: 'id' }],
  [
    'socks5h://al%40ice:s3%2Fcret@proxy.example',
    { scheme: 'socks5h', host: 'proxy.example', port: 1080, username: 'al@ice', password: 's3/cret' },
  ],
];

test('the URL of a proxy', () => {
  for (const [url, proxy] of URLS) assert.deepEqual(parseProxy(url), proxy, url);
});

test('any other URL is refused, and not repeated', () => {
  for (const url of [
    '',
    'socks5h:alice:s3cret@proxy.example',
    'http://alice:s3cret@proxy.example',
    'socks5+tls://alice:s3cret@proxy.example',
    'socks5h://alice:s3cret@localhost/run/socks',
    'socks5h://alice:s3cret@proxy.example:0',
    'socks5h://alice:s3cret@proxy.example?x',
    'socks5h://alice:s3/cret@proxy.example',
    'socks5h://alice:s3%cret@proxy.example',
    'socks5h://:s3cret@proxy.example',
  ])
    assert.throws(
      () => parseProxy(url),
      (error) =>
        error instanceof RangeError && /written socks4\|/.test(error.message) && !/s3/.test(error.message),
      url,
    );
});
