import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIp } from '../wire/ip.ts';
import { canonicalName, isWithin, reverseName } from './name.ts';

const label = 'a'.repeat(63);
const longest = `${label}.${label}.${label}.${'a'.repeat(61)}`;

const names: readonly (readonly [text: string, canonical: string | undefined])[] = [
  ['WWW.Example.COM', 'www.example.com'],
  ['example.com.', 'example.com'],
  ['printer', 'printer'],
  ['_sip._tcp.example.com', '_sip._tcp.example.com'],
  ['xn--bcher-kva.example', 'xn--bcher-kva.example'],
  ['3com.com', '3com.com'],
  [longest, longest],
  [`${longest}.`, longest],
  [`a${longest}`, undefined],
  [`${label}a.example`, undefined],
  ['', undefined],
  ['.', undefined],
  ['.example.com', undefined],
  ['example..com', undefined],
  ['example.com..', undefined],
  ['exa mple.com', undefined],
  ['example.com\r\n', undefined],
  ['example.com\0', undefined],
  ['\u001b[2J.example', undefined],
  ['Bücher.example', 'xn--bcher-kva.example'],
  ['\uff11\uff12\uff17.1', undefined], // full-width digits
  ['127.1', undefined],
  ['0x7f.1', undefined],
  ['0x7f000001', undefined],
  ['2130706433', undefined],
  ['10.0.0.1', undefined],
  ['[::1]', undefined],
  ['::1', undefined],
];

for (const [text, canonical] of names) {
  test(`${JSON.stringify(text)} is ${canonical === undefined ? 'no host name' : 'a host name'}`, () => {
    assert.equal(canonicalName(text), canonical);
  });
}

test('a name is within its domain and within itself', () => {
  assert.ok(isWithin('localhost', 'localhost'));
  assert.ok(isWithin('a.b.localhost', 'localhost'));
  assert.ok(!isWithin('notlocalhost', 'localhost'));
});

test('the names of PTR records', () => {
  assert.equal(reverseName(parseIp('192.0.2.5')!), '5.2.0.192.in-addr.arpa');
  assert.equal(
    reverseName(parseIp('4321:0:1:2:3:4:567:89ab')!),
    'b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa', // RFC 3596 section 2.5
  );
});
