import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Phase } from '../../audit/record.ts';
import { Interim } from './interim.ts';

const INTERVAL = 600_000;

test('sessions that last have a record in each interval, spread over it, from an interval on', () => {
  const began = Math.floor(performance.now());
  const sessions = Array.from({ length: 600 }, (_, number) => ({
    number,
    phase: (number < 500 ? 'relay' : 'dial') as Phase,
    startedAt: began,
  }));
  const records = new Map<number, number[]>();
  let minute = 0;
  using interim = new Interim(sessions, ({ number }) => {
    records.set(number, [...(records.get(number) ?? []), minute]);
  });
  interim.use(INTERVAL);
  for (minute = 1; minute <= 35; minute++) interim.look(began + minute * 60_000 + 1);
  assert.equal(records.size, 500, 'those that are relayed');
  const perMinute = new Map<number, number>();
  for (const minutes of records.values()) {
    assert.ok(minutes.length === 2 || minutes.length === 3, minutes.join());
    assert.ok(
      minutes.every((one, i) => one >= 10 && (i === 0 || minutes[i - 1] === one - 10)),
      minutes.join(),
    );
    for (const one of minutes) perMinute.set(one, (perMinute.get(one) ?? 0) + 1);
  }
  const most = Math.max(...perMinute.values());
  assert.ok(most < 75, `${most} of 500 in one minute of ten`);
});

test('without an interval there are none', () => {
  const records: unknown[] = [];
  using interim = new Interim([{ number: 1, phase: 'relay', startedAt: 0 }], (one) => records.push(one));
  interim.look(10 * INTERVAL);
  interim.use(INTERVAL);
  interim.use(undefined);
  interim.look(20 * INTERVAL);
  assert.deepEqual(records, []);
});
