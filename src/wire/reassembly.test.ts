import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { Reassembly } from './reassembly.ts';

type Step = readonly [frag: number, data: string, options?: { at?: number; to?: string }];

const rows: { name: string; steps: Step[]; whole: string[] }[] = [
  {
    name: 'three fragments',
    steps: [
      [1, 'a'],
      [2, 'b'],
      [0x83, 'c'],
    ],
    whole: ['abc'],
  },
  { name: 'a sequence of one', steps: [[0x81, 'a']], whole: ['a'] },
  {
    name: 'two sequences in turn',
    steps: [
      [1, 'a'],
      [0x82, 'b'],
      [1, 'c'],
      [0x82, 'd'],
    ],
    whole: ['ab', 'cd'],
  },
  {
    name: 'a duplicate is passed over',
    steps: [
      [1, 'a'],
      [1, 'a'],
      [0x82, 'b'],
    ],
    whole: ['ab'],
  },
  {
    name: 'a gap abandons',
    steps: [
      [1, 'a'],
      [3, 'c'],
      [0x84, 'd'],
    ],
    whole: [],
  },
  {
    name: 'a lower position starts over',
    steps: [
      [1, 'a'],
      [2, 'b'],
      [1, 'x'],
      [0x82, 'y'],
    ],
    whole: ['xy'],
  },
  {
    name: 'a sequence that does not begin with 1',
    steps: [
      [2, 'b'],
      [0x83, 'c'],
    ],
    whole: [],
  },
  {
    name: 'just within the timer',
    steps: [
      [1, 'a'],
      [0x82, 'b', { at: 5000 }],
    ],
    whole: ['ab'],
  },
  {
    name: 'after the timer',
    steps: [
      [1, 'a'],
      [0x82, 'b', { at: 5001 }],
    ],
    whole: [],
  },
  {
    name: 'another destination abandons',
    steps: [
      [1, 'a'],
      [0x82, 'b', { to: 'other' }],
    ],
    whole: [],
  },
  { name: 'position 0 with the high bit', steps: [[0x80, 'a']], whole: [] },
];

suite('reassembly', () => {
  for (const { name, steps, whole } of rows) {
    test(name, () => {
      const reassembly = new Reassembly();
      const got: string[] = [];
      for (const [frag, data, { at = 0, to = 'd' } = {}] of steps) {
        const bytes = reassembly.add(frag, to, Buffer.from(data), at);
        if (bytes !== undefined) got.push(Buffer.from(bytes).toString());
      }
      assert.deepEqual(got, whole);
    });
  }

  test('never holds more than one datagram', () => {
    const reassembly = new Reassembly();
    const part = new Uint8Array(40_000);
    assert.equal(reassembly.add(1, 'd', part, 0), undefined);
    assert.equal(reassembly.add(0x82, 'd', part, 0), undefined);
    assert.equal(reassembly.add(0x81, 'd', part, 0)?.length, 40_000);
  });

  test('held bytes are counted, and dropped after five seconds', () => {
    const reassembly = new Reassembly();
    for (const i of [1, 2]) reassembly.add(i, 'd', new Uint8Array(1000), 0);
    const { held } = reassembly;
    assert.ok(held > 2000, `${held} bytes`);
    assert.equal(reassembly.expire(5000), 0);
    assert.equal(reassembly.expire(5001), -held);
    assert.equal(reassembly.held, 0);
  });

  test('127 fragments', () => {
    const reassembly = new Reassembly();
    for (let i = 1; i < 127; i++) assert.equal(reassembly.add(i, 'd', Buffer.from('x'), 0), undefined);
    assert.equal(reassembly.add(0xff, 'd', Buffer.from('x'), 0)?.length, 127);
  });
});
