import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { readList } from './list-file.ts';
import { ValueError } from './value-error.ts';

/** An entry is a word without q. */
function parse(entry: string): string {
  if (entry.includes('q')) throw new ValueError(`${entry} has a q`, 'remove it');
  return entry;
}

suite('a list in a file', () => {
  for (const [name, text, entries, hosts = true] of [
    ['one entry a line', 'a\nb\n', ['a', 'b']],
    ['no newline at the end, or that of Windows', 'a\r\nb', ['a', 'b']],
    ['empty lines and white space', '\n  a\t\n\n', ['a']],
    ['comments', '# all\na # why\nb;c\nd ; SBL1\n;e\n', ['a', 'b;c', 'd']],
    ['*.x is .x', '*.example.com\n', ['.example.com']],
    ['hosts(5)', '0.0.0.0 a b\n::1%lo0 c\n0.0.0.0 d # why\n', ['a', 'b', 'c', 'd']],
    ['the names of the machine are left out', '127.0.0.1 localhost\n::1 ip6-localhost loopback\n', []],
    ['an address alone is an entry', '192.0.2.1\n', ['192.0.2.1']],
    ['users are not hosts', '192.0.2.1\n', ['192.0.2.1'], false],
  ] as const)
    test(name, () => {
      const read = readList(text, 'list.txt', parse, hosts, 100);
      assert.deepEqual(read, { entries, problems: [] });
    });

  test('mistakes have their line and column', () => {
    const { problems } = readList('a\n  qq # why\nb c\n', 'list.txt', parse, true, 100);
    assert.deepEqual(problems, [
      {
        where: 'list.txt',
        line: 2,
        column: 3,
        excerpt: '    2 |   qq # why\n      |   ^^',
        message: 'qq has a q',
        remedy: 'remove it',
      },
      {
        where: 'list.txt',
        line: 3,
        column: 1,
        excerpt: '    3 | b c\n      | ^^^',
        message: 'there are several words on this line',
        remedy: 'write one entry a line',
      },
    ]);
  });

  test('there is an end to mistakes, and to entries', () => {
    assert.equal(readList('q\n'.repeat(1000), 'list.txt', parse, true, 100).problems.length, 20);
    const { problems } = readList('a\n'.repeat(1000), 'list.txt', parse, true, 100);
    assert.deepEqual(
      problems.map(({ line, message }) => [line, message]),
      [[101, 'the lists are too long here']],
    );
  });
});
