import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { WhenOptions } from './policy.ts';
import { TimeWindow } from './window.ts';

const [SUN, MON, TUE, WED, THU, FRI, SAT] = [0, 1, 2, 3, 4, 5, 6];
const WEEKDAYS = [MON, TUE, WED, THU, FRI];

interface Row {
  readonly name: string;
  readonly when: WhenOptions;
  readonly inside: readonly string[];
  readonly outside: readonly string[];
}

const ROWS: readonly Row[] = [
  {
    name: 'office hours, the end exclusive',
    when: { days: WEEKDAYS, hours: { start: at(8), end: at(18) }, zone: 'UTC' },
    inside: ['2026-11-16T08:00Z', '2026-11-20T17:59:59.999Z'],
    outside: ['2026-11-16T07:59:59.999Z', '2026-11-20T18:00Z', '2026-11-21T12:00Z', '2026-11-22T12:00Z'],
  },
  {
    name: 'to the minute',
    when: { days: WEEKDAYS, hours: { start: at(8, 7), end: at(8, 23) }, zone: 'UTC' },
    inside: ['2026-11-16T08:07Z', '2026-11-16T08:22:59Z'],
    outside: ['2026-11-16T08:06:59Z', '2026-11-16T08:23Z'],
  },
  {
    name: 'whole days',
    when: { days: [SUN, SAT], zone: 'UTC' },
    inside: ['2026-11-21T00:00Z', '2026-11-22T23:59Z'],
    outside: ['2026-11-20T23:59Z', '2026-11-23T00:00Z'],
  },
  {
    name: 'until midnight',
    when: { days: [FRI], hours: { start: at(22), end: at(24) }, zone: 'UTC' },
    inside: ['2026-11-20T22:00Z', '2026-11-20T23:59Z'],
    outside: ['2026-11-20T21:59Z', '2026-11-21T00:00Z'],
  },
  {
    name: 'past midnight: the day is the one on which it begins',
    when: { days: [FRI], hours: { start: at(22), end: at(6) }, zone: 'UTC' },
    inside: ['2026-11-20T22:00Z', '2026-11-21T00:00Z', '2026-11-21T05:59Z'],
    outside: ['2026-11-20T05:59Z', '2026-11-20T21:59Z', '2026-11-21T06:00Z', '2026-11-21T22:00Z'],
  },
  {
    name: 'past midnight from Saturday to Sunday, the end of the week',
    when: { days: [SAT], hours: { start: at(22), end: at(6) }, zone: 'UTC' },
    inside: ['2026-11-21T22:00Z', '2026-11-22T05:59Z'],
    outside: ['2026-11-22T06:00Z', '2026-11-22T22:00Z'],
  },
  {
    name: 'an end equal to the start: a whole day from then',
    when: { days: [FRI], hours: { start: at(8), end: at(8) }, zone: 'UTC' },
    inside: ['2026-11-20T08:00Z', '2026-11-21T07:59Z'],
    outside: ['2026-11-20T07:59Z', '2026-11-21T08:00Z'],
  },
  {
    name: 'the clock of the zone, summer time included',
    when: { days: WEEKDAYS, hours: { start: at(8), end: at(18) }, zone: 'Europe/Oslo' },
    inside: ['2026-07-01T06:00Z', '2026-07-01T15:59Z', '2026-12-01T07:00Z', '2026-12-01T16:59Z'],
    outside: ['2026-07-01T05:59Z', '2026-07-01T16:00Z', '2026-12-01T06:59Z', '2026-12-01T17:00Z'],
  },
  {
    name: 'the day of the zone',
    when: { days: [MON], zone: 'Pacific/Auckland' },
    inside: ['2026-11-15T11:00Z', '2026-11-16T10:59Z'],
    outside: ['2026-11-15T10:59Z', '2026-11-16T11:00Z'],
  },
  {
    name: 'a zone of quarters of an hour',
    when: { days: WEEKDAYS, hours: { start: at(8), end: at(9) }, zone: 'Asia/Kathmandu' },
    inside: ['2026-11-16T02:15Z', '2026-11-16T03:14Z'],
    outside: ['2026-11-16T02:14Z', '2026-11-16T03:15Z'],
  },
  {
    // Oslo, 2026-03-29: 02:00 is followed by 03:00
    name: 'when the clock goes forward, the skipped hour is in no window',
    when: { days: [SUN], hours: { start: at(2), end: at(4) }, zone: 'Europe/Oslo' },
    inside: ['2026-03-29T01:00Z', '2026-03-29T01:59Z'],
    outside: ['2026-03-29T00:59Z', '2026-03-29T02:00Z'],
  },
  {
    // Oslo, 2026-10-25: 03:00 is followed by 02:00
    name: 'when the clock goes back, the repeated hour is inside twice',
    when: { days: [SUN], hours: { start: at(2), end: at(3) }, zone: 'Europe/Oslo' },
    inside: ['2026-10-25T00:00Z', '2026-10-25T00:59Z', '2026-10-25T01:00Z', '2026-10-25T01:59Z'],
    outside: ['2026-10-24T23:59Z', '2026-10-25T02:00Z'],
  },
];

suite('TimeWindow', () => {
  for (const { name, when, inside, outside } of ROWS) {
    test(name, () => {
      const window = new TimeWindow(when);
      const found = [...inside, ...outside].filter((time) => window.has(Date.parse(time)));
      assert.deepEqual(found, inside);
    });
  }

  test('the answer for a time does not depend on the times asked before', () => {
    const when = { days: WEEKDAYS, hours: { start: at(8), end: at(18) }, zone: 'Europe/Oslo' };
    const window = new TimeWindow(when);
    const start = Date.parse('2026-10-24T00:00Z');
    for (let i = 0; i < 500; i++) {
      const time = start + ((i * 37) % 500) * 7 * 60_000;
      assert.equal(window.has(time), new TimeWindow(when).has(time));
    }
  });

  test('a zone that does not exist is an error', () => {
    assert.throws(() => new TimeWindow({ days: WEEKDAYS, zone: 'Europe/Nowhere' }), RangeError);
  });
});

/** Minutes after midnight. */
function at(hour: number, minute = 0): number {
  return hour * 60 + minute;
}
