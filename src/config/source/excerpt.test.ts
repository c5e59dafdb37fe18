import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { excerpt } from './excerpt.ts';

function show(line: string, word: string): string {
  const start = line.indexOf(word);
  return excerpt(line, 7, { start, end: start + word.length }, []);
}

test('carets are below the relevant part', () => {
  assert.equal(show('  - alow: any', 'alow'), '    7 |   - alow: any\n      |     ^^^^');
  assert.equal(show('\ta: b\r', 'b'), '    7 |  a: b\n      |     ^');
  assert.equal(excerpt('', 7, { start: 0, end: 0 }, []), '    7 | \n      | ^');
});

test('masking keeps the carets in position', () => {
  const line = '{ url: "socks5h://proxy:a:b/c@d@10.0.3.1:1080", alow: 1 }';
  assert.equal(
    show(line, 'alow'),
    `    7 | { url: "socks5h://proxy:***@10.0.3.1:1080", alow: 1 }\n      | ${' '.repeat(44)}^^^^`,
  );
  assert.equal(show('password: hunter2', 'unter'), '    7 | password: ***\n      |           ^');
  assert.equal(show('"password" : "a, b"', '"a'), '    7 | "password" : ***\n      |              ^');
});

test('references to a secret are shown', () => {
  for (const line of [
    'password: ${ALICE}',
    'password: "${ALICE}"',
    'password: { file: alice }',
    'u: socks5://a:${B}@c',
  ]) {
    assert(show(line, ':').includes(line), line);
  }
});

test('a long line is cut around the relevant part', () => {
  const line = `${'a '.repeat(500)}here${' b'.repeat(500)}`;
  const [shown = '', carets = ''] = show(line, 'here').split('\n');
  assert(shown.length < 120, shown);
  assert.equal(shown.slice(carets.indexOf('^'), carets.lastIndexOf('^') + 1), 'here');
});

test('no password is shown, wherever the caret is', () => {
  const secret = fc
    .stringMatching(/^[!-~]{4,20}$/)
    .filter((text) => !/^["']?\$\{|^\{\s*file|[*@]/.test(text));
  const around = fc.stringMatching(/^[ -~]{0,150}$/);
  fc.assert(
    fc.property(
      around,
      secret,
      around,
      fc.nat(300),
      fc.nat(300),
      fc.boolean(),
      (before, hidden, after, start, length, isUrl) => {
        const line = isUrl
          ? `${before} http://u:${hidden}@${after}`
          : `${before} password: ${hidden} ${after}`;
        fc.pre(
          !before.includes(hidden) && !after.includes(hidden) && !'password: http://u:'.includes(hidden),
        );
        const at = Math.min(start, line.length);
        const shown = excerpt(line, 1, { start: at, end: Math.min(at + length, line.length) }, []);
        assert(!shown.includes(hidden), shown);
      },
    ),
  );
});
