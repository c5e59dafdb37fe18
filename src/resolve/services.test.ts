import assert from 'node:assert/strict';
import { test } from 'node:test';
import { servicesOf } from './services.ts';

type Row = readonly [target: string, priority?: number, weight?: number, port?: number];

/** The usable records, as target:port:priority:weight. */
function left(rows: readonly Row[]): readonly string[] | undefined {
  const records = rows.map(([target, priority = 0, weight = 0, port = 1080]) => {
    return { target, port, priority, weight };
  });
  return servicesOf(records)?.map(
    ({ target, port, priority, weight }) => `${target}:${port}:${priority}:${weight}`,
  );
}

for (const [what, rows, expected] of [
  [
    'by priority, the heaviest first, then by name and port',
    [
      ['d.test', 1, 9],
      ['b.test', 0, 1],
      ['c.test', 0, 5],
      ['a.test', 0, 1, 1081],
      ['a.test', 0, 1],
    ],
    ['c.test:1080:0:5', 'a.test:1080:0:1', 'a.test:1081:0:1', 'b.test:1080:0:1', 'd.test:1080:1:9'],
  ],
  ['as names are resolved', [['P1.Test.']], ['p1.test:1080:0:0']],
  [
    'what is no host name is left out, and the rest stays',
    [['192.0.2.1'], ['a b'], ['.'], [''], ['127.1'], ['x..test'], ['a.test']],
    ['a.test:1080:0:0'],
  ],
  ['a root alone says that there is no such service', [['.']], []],
  ['what is no host name says nothing', [['192.0.2.1']], undefined],
  ['and neither do several roots', [['.'], ['.']], undefined],
  ['no records', [], undefined],
] as const satisfies readonly (readonly [string, readonly Row[], readonly string[] | undefined])[]) {
  test(what, () => assert.deepEqual(left(rows), expected));
}

test('the best 32, wherever they are in the answer', () => {
  const worse = Array.from({ length: 40 }, (_, i): Row => [`w${i}.test`, 1, 100]);
  const wrong = Array.from({ length: 40 }, (_, i): Row => [`192.0.2.${i}`]);
  const best = Array.from({ length: 31 }, (_, i): Row => [`b${i}.test`, 0, i]);
  const found = left([...worse, ...wrong, ...best])!;
  assert.equal(found.length, 32);
  assert.deepEqual(found.slice(0, 2), ['b30.test:1080:0:30', 'b29.test:1080:0:29']);
  assert.deepEqual(found.slice(30), ['b0.test:1080:0:0', 'w0.test:1080:1:100']);
});
