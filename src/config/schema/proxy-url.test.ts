import assert from 'node:assert/strict';
import { test } from 'node:test';
import { proxyUrl, showsPassword } from './proxy-url.ts';

/** A URL, and its label: its destination, without secrets. */
const LABELS: readonly (readonly [url: string, label: string])[] = [
  ['socks5h://10.0.3.1', 'socks5h://10.0.3.1:1080'],
  ['SOCKS4A://Proxy.Example./', 'socks4a://proxy.example:1080'],
  ['socks5h://alice:s3cret@[2001:DB8::1]:1', 'socks5h://[2001:db8::1]:1'],
  ['socks5h://[::ffff:c000:201]', 'socks5h://[::ffff:192.0.2.1]:1080'],
  ['socks5h://bücher.example', 'socks5h://xn--bcher-kva.example:1080'],
  ['socks5h://localhost/run/tor/so%20cks', 'socks5h://localhost/run/tor/so%20cks'],
  ['socks5h://localhost/:80', 'socks5h://localhost/:80'],
  // For other programs 80 is the default port of http.
  ['http://proxy.example', 'http://proxy.example:8080'],
  ['http://proxy.example:80', 'http://proxy.example:80'],
  ['http://proxy.example:0080/', 'http://proxy.example:80'],
  ['https://proxy.example', 'https://proxy.example:443'],
];

test('the label of a URL', () => {
  for (const [url, label] of LABELS) {
    assert.equal(proxyUrl.parse(url).label, label, url);
    assert.equal(proxyUrl.parse(label).label, label);
  }
  assert.equal(proxyUrl.parse('socks5h://localhost/:80').at.port, 1080);
});

/** A faulty URL, and the message, which quotes none of it. */
const FAULTS: readonly (readonly [url: string, message: string])[] = [
  ['ftp://alice:s3cret@proxy.example', 'this is not the URL of a proxy server'],
  ['http:proxy.example', 'this is not the URL of a proxy server'],
  ['socks5h://alice:s3c/ret@proxy.example', 'this is not the URL of a proxy server'],
  ['socks5h://alice:s3cret@proxy.example:0', 'there is no port 0'],
  ['socks5h://alice:s3cret@127.1', 'the host is neither a name nor an address'],
  ['http://alice:s3cret@127.1', 'the host is neither a name nor an address'],
  ['socks5h://s3%20cret', 'the host is neither a name nor an address'],
  ['socks5h://alice:s3cret@proxy.example/path', 'there is something after host and port'],
  ['socks5h://alice:s3cret%@proxy.example', 'a % is not followed by a valid code'],
  ['socks4://alice:s3cret@proxy.example', 'SOCKS4 has a user id but no password'],
];

test('faults are reported without the URL', () => {
  for (const [url, message] of FAULTS) {
    const { error } = proxyUrl.safeParse(url);
    assert.equal(error?.issues[0]?.message, message, url);
    assert.doesNotMatch(JSON.stringify(error.issues), /s3/, url);
  }
});

test('a character that ends a URL within its password is reported, with its replacement', () => {
  for (const password of ['s3/cret', '12/s3cret', 's3#cret', '?s3cret', '#/?', '1?s3cret@x']) {
    for (const [scheme, host] of [
      ['socks5h', 'proxy.example'],
      ['http', '[::1]:8080'],
    ]) {
      const { error } = proxyUrl.safeParse(`${scheme}://alice:${password}@${host}`);
      assert.match(JSON.stringify(error?.issues), /write \/ as %2F, \? as %3F and # as %23/, password);
      assert.doesNotMatch(JSON.stringify(error?.issues), /s3/, password);
      const encoded = proxyUrl.parse(`${scheme}://alice:${encodeURIComponent(password)}@${host}`);
      assert.equal(encoded.credentials?.password, password);
    }
  }
});

test('a password in plain text', () => {
  const rows: readonly (readonly [url: string, shows: boolean])[] = [
    ['socks5h://alice:s3cret@proxy.example', true],
    ['socks5h://alice:s3cret@${HOST}', true],
    ['socks5h://${NAME}:s3@cret@proxy.example', true],
    ['${SCHEME}://:s3cret@proxy.example', true],
    ['socks5h://alice@corp.example:s3cret@proxy.example', true],
    ['socks5h://al/ice:s3cret@proxy.example', true],
    ['socks5h://al ice:s3cret@proxy.example', true],
    ['socks5h:alice:s3cret@proxy.example', true],
    ['socks5h:/alice:s3cret@proxy.example', true],
    ['socks5h://alice:${PASSWORD}@proxy.example:1080', false],
    ['socks5h://alice@corp.example:${PASSWORD}@proxy.example:1080', false],
    ['socks5h://alice@corp.example@proxy.example:1080', false],
    ['socks5h://alice@[::1]:1080', false],
    ['socks5h://${LOGIN}@proxy.example:1080', false],
    ['${URL}', false],
    ['socks5h://alice@proxy.example:1080', false],
    ['socks5h://alice:@proxy.example:1080', false],
    ['socks5h://localhost/run/user:1000@home', false],
    ['p1', false],
  ];
  for (const [url, shows] of rows) assert.equal(showsPassword(url), shows, url);
});
