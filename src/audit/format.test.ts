import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { formatJson, formatText, Timestamps } from './format.ts';

const TIME = '2026-11-21T10:15:02.007Z';

const rows: { name: string; value: string | number | undefined; text: string; json: string }[] = [
  { name: 'a number', value: 12, text: ' v=12', json: ',"v":12' },
  { name: 'nothing', value: undefined, text: '', json: '' },
  {
    name: 'an endpoint',
    value: '[2001:db8::1]:80',
    text: ' v=[2001:db8::1]:80',
    json: ',"v":"[2001:db8::1]:80"',
  },
  { name: 'an empty text', value: '', text: ' v=""', json: ',"v":""' },
  { name: 'a blank', value: 'a b', text: ' v="a b"', json: ',"v":"a b"' },
  { name: 'an equals sign', value: 'a=b', text: ' v="a=b"', json: ',"v":"a=b"' },
  { name: 'quotes and backslash', value: 'a"\\', text: ' v="a\\"\\\\"', json: ',"v":"a\\"\\\\"' },
  { name: 'line ends', value: 'a\r\nb', text: ' v="a\\r\\nb"', json: ',"v":"a\\r\\nb"' },
  { name: 'a terminal sequence', value: '\x1b[2J', text: ' v="\\u001b[2J"', json: ',"v":"\\u001b[2J"' },
  { name: 'C1 and DEL', value: '\x7f\x9b', text: ' v="\\u007f\\u009b"', json: ',"v":"\\u007f\\u009b"' },
  { name: 'a direction mark', value: 'a\u202eb', text: ' v="a\\u202eb"', json: ',"v":"a\\u202eb"' },
  { name: 'a line separator', value: 'a\u2028b', text: ' v="a\\u2028b"', json: ',"v":"a\\u2028b"' },
  { name: 'a lone surrogate', value: '\ud800', text: ' v="\\ud800"', json: ',"v":"\\ud800"' },
  { name: 'a tag character', value: '\u{e0041}', text: ' v="\\udb40\\udc41"', json: ',"v":"\\udb40\\udc41"' },
  { name: 'letters of all the world', value: 'jörg', text: ' v="jörg"', json: ',"v":"jörg"' },
];

suite('log lines', () => {
  for (const { name, value, text, json } of rows) {
    test(name, () => {
      assert.equal(
        formatText(TIME, 'info', 'event', { v: value }),
        `2026-11-21T10:15:02.007Z info event${text}\n`,
      );
      const line = formatJson({
        time: TIME,
        level: 'info',
        event: 'users-exposed',
        message: 'a sentence',
        fields: { v: value },
      });
      assert.equal(
        line,
        `{"time":"2026-11-21T10:15:02.007Z","level":"info","event":"users-exposed","message":"a sentence"${json}}\n`,
      );
      assert.equal((JSON.parse(line) as { v?: unknown }).v, value);
    });
  }

  test('times, from one second to the next and back', () => {
    const timestamps = new Timestamps();
    const time = Date.parse(TIME);
    assert.equal(timestamps.format(time), TIME);
    assert.equal(timestamps.format(time + 1000), '2026-11-21T10:15:03.007Z');
    assert.equal(timestamps.format(time - 8), '2026-11-21T10:15:01.999Z');
    assert.equal(new Timestamps().format(5), '1970-01-01T00:00:00.005Z');
  });
});
