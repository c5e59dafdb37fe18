import { formatJson, formatText, Timestamps } from '../../../src/audit/format.ts';
import { Draw } from '../draw.ts';
import { keeps, same, utf8, words } from '../target.ts';
import type { Target } from '../target.ts';

/** Everything that ends a line, moves the cursor, or hides or reorders text. */
const UNSAFE = /[\p{C}\p{Zl}\p{Zp}]/u;
const NAMES = ['client', 'destination', 'user'] as const;

export const targets: readonly Target[] = [
  {
    name: 'log-line',
    testRuns: 25_000,
    seeds: [
      '\0\x07connect\x0bexample.com',
      '\x01\x04a b"\x02\r\n\x03\u202E',
      '\x02\x01é\x02\u{1F600}\x04\u2028',
    ].map(utf8),
    tokens: words('\u001B[31m \u009B \u2028 \u202E \u200B \uFEFF \u{E0001} user=root " \\ \n = \u{FFFF}'),
    run(input) {
      const draw = new Draw(input);
      // Half of the texts are UTF-16, which has lone surrogates.
      const encoding = draw.pick(['utf8', 'utf16le'] as const);
      const text = (): string => Buffer.from(draw.bytes(draw.byte())).toString(encoding);
      const milliseconds = draw.word() * 86_399_999;
      const time = new Timestamps().format(milliseconds);
      const fields = Object.fromEntries(NAMES.map((name) => [name, draw.isOver ? undefined : text()]));

      const what = { time, level: 'info', event: 'upstream-up', message: 'upstream up' } as const;
      const json = formatJson({ ...what, fields });
      const plain = formatText(time, 'info', what.event, fields);
      for (const line of [json, plain]) {
        keeps('it is one line', line.indexOf('\n') === line.length - 1);
        keeps('a line has nothing unsafe', !UNSAFE.test(line.slice(0, -1)), () => JSON.stringify(line));
      }
      const expected = { ...what, time: new Date(milliseconds).toISOString(), ...fields };
      same('JSON says what was logged', JSON.parse(json), JSON.parse(JSON.stringify(expected)));

      const head = formatText(time, 'info', what.event, {});
      keeps('values come after the event', plain.startsWith(head.slice(0, -1)));
      same('text says what was logged', valuesIn(plain.slice(head.length - 1, -1)), defined(fields));
      return `${encoding} ${Object.keys(defined(fields)).length}`;
    },
  },
];

/** Parses ` name=value name="quoted value"` from the left. */
function valuesIn(text: string): Record<string, string> {
  const values: Record<string, string> = {};
  for (const [, name, quoted, bare] of text.matchAll(/ (\w+)=(?:("(?:[^"\\]|\\.)*")|(\S*))/g)) {
    values[name!] = quoted === undefined ? bare! : String(JSON.parse(quoted));
  }
  return values;
}

function defined(fields: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(fields).filter((field): field is [string, string] => field[1] !== undefined),
  );
}
