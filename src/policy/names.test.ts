import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import * as fc from 'fast-check';
import { isNumericName, NameSet, parseName } from './names.ts';

const LABEL = 'a'.repeat(63);

suite('parseName', () => {
  const rows: Readonly<Record<string, string | undefined>> = {
    'www.example.com': 'www.example.com',
    'WWW.Example.COM': 'www.example.com',
    'www.example.com.': 'www.example.com',
    localhost: 'localhost',
    '_dmarc.example.com': '_dmarc.example.com',
    'xn--mnchen-3ya.example': 'xn--mnchen-3ya.example',
    'münchen.example': 'xn--mnchen-3ya.example',
    'MÜNCHEN.example': 'xn--mnchen-3ya.example',
    'www。example。com': 'www.example.com',
    '１２７.1': '127.0.0.1',
    '127.1': '127.1',
    [`${LABEL}.example`]: `${LABEL}.example`,
    [`a${LABEL}.example`]: undefined,
    [`${LABEL}.${LABEL}.${LABEL}.${LABEL.slice(2)}`]: `${LABEL}.${LABEL}.${LABEL}.${LABEL.slice(2)}`,
    [`${LABEL}.${LABEL}.${LABEL}.${LABEL.slice(1)}`]: undefined,
    '': undefined,
    '.': undefined,
    '.example.com': undefined,
    'www..example.com': undefined,
    'www.example.com..': undefined,
    'www example.com': undefined,
    'localhost\0evil': undefined,
    'www.example.com\r\n': undefined,
    'a\u001bb.example': undefined,
    '[::1]': undefined,
    '::1': undefined,
    'user@münchen.example': undefined,
    'münchen.example:80': undefined,
    'münchen.example/path': undefined,
    'm%C3%BCnchen.example': undefined,
    'ü\u0000.example': undefined,
    'ü\t.example': undefined,
    '\u{fffd}.example': undefined,
    '*.example.com': undefined,
  };
  for (const [text, expected] of Object.entries(rows)) {
    test(JSON.stringify(text), () => assert.equal(parseName(text), expected));
  }
});

suite('isNumericName', () => {
  const rows: Readonly<Record<string, boolean>> = {
    '127.1': true,
    '127.0.0.1': true,
    '0x7f.1': true,
    '0x7f000001': true,
    '0x': true,
    '2130706433': true,
    'www.example.1': true,
    '017700000001': true,
    '1.2.3.4.example': false,
    '0xg': false,
    a1: false,
    '1a': false,
    'www.0x7f.example': false,
  };
  for (const [name, expected] of Object.entries(rows)) {
    test(name, () => assert.equal(isNumericName(name), expected));
  }
});

suite('NameSet', () => {
  test('property: contains its names, and names with its suffixes', () => {
    const label = fc.constantFrom('a', 'b', 'ab');
    const name = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.'));
    const entry = fc.tuple(name, fc.boolean()).map(([text, suffix]) => (suffix ? `.${text}` : text));
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 4 }), name, (entries, asked) => {
        const expected = entries.some((known) =>
          known.startsWith('.') ? `.${asked}`.endsWith(known) : asked === known,
        );
        assert.equal(new NameSet(entries).has(asked), expected);
      }),
      { numRuns: 500 },
    );
  });
});
