import assert from 'node:assert/strict';
import { hostname } from 'node:os';
import { suite, test } from 'node:test';
import { EVENTS } from '../events.ts';
import type { EventName } from '../events.ts';
import type { Level } from '../level.ts';
import type { Line } from '../line.ts';
import { encodeMessage, formatPriority } from './syslog.ts';

const line: Line = {
  time: '2026-11-21T10:15:02.007Z',
  level: 'warn',
  event: 'login-failed',
  prefix: '2026-11-21T10:15:02.007Z warn ',
  text: 'login-failed client=203.0.113.1 user=jörg\n',
};

suite('syslog messages', () => {
  test('have the format of RFC 5424', () => {
    assert.equal(
      encodeMessage(line, 'daemon').toString(),
      `<28>1 2026-11-21T10:15:02.007Z ${hostname()} garter ${process.pid} login-failed - ` +
        'login-failed client=203.0.113.1 user=jörg',
    );
  });

  const priorities: Record<Level, string> = { error: '<27>', warn: '<28>', info: '<30>', debug: '<31>' };
  for (const [level, priority] of Object.entries(priorities)) {
    test(`have priority ${priority} for ${level}`, () => {
      assert.equal(formatPriority('daemon', level as Level), priority);
    });
  }

  test('have the priority of their facility', () => {
    assert.equal(formatPriority('kern', 'error'), '<3>');
    assert.equal(formatPriority('local7', 'debug'), '<191>');
  });

  test('have the event as their id, which has 32 characters at most', () => {
    const ids = (Object.keys(EVENTS) as EventName[]).map(
      (event) =>
        encodeMessage({ ...line, event }, 'daemon')
          .toString()
          .split(' ')[5]!,
    );
    assert.deepEqual(ids, Object.keys(EVENTS));
    for (const id of ids) assert.match(id, /^[a-z-]{1,32}$/);
  });

  for (const character of ['a', 'é', '€', '😀']) {
    test(`are cut at a whole ${character}`, () => {
      for (let shift = 0; shift < 4; shift++) {
        const message = encodeMessage(
          { ...line, text: `${'b'.repeat(shift)}${character.repeat(9000)}\n` },
          'daemon',
        );
        assert.ok(message.length <= 8192 && message.length > 8192 - 4);
        assert.ok(new TextDecoder('utf-8', { fatal: true }).decode(message).endsWith(character));
      }
    });
  }
});
