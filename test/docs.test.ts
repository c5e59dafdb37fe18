import assert from 'node:assert/strict';
import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { suite, test } from 'node:test';
import { EVENTS, headingOf } from '../src/audit/events.ts';
import type { EventName } from '../src/audit/events.ts';
import { END_CODES } from '../src/audit/record.ts';
import { jsonSchema } from '../src/config/schema/json-schema.ts';

const ROOT = join(import.meta.dirname, '..');
/** The output of the comparison. */
const GENERATED = 'bench/out/';
const PAGES = [
  ...readdirSync(ROOT).filter((name) => name.endsWith('.md')),
  ...readdirSync(join(ROOT, 'docs')).map((name) => `docs/${name}`),
];

suite('files and links in the documentation exist', () => {
  for (const page of PAGES) {
    test(page, () => {
      const text = readFileSync(join(ROOT, page), 'utf8');
      const files = [...text.matchAll(/`((?:src|test|bench|contrib|runtime|bin)\/[\w*./-]+)`/g)].map(
        ([, path]) => path!,
      );
      const missing = files.filter(
        (path) => !path.startsWith(GENERATED) && globSync(path, { cwd: ROOT }).length === 0,
      );
      const links = [...text.matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, path]) => path!);
      missing.push(...links.filter((path) => !existsSync(join(ROOT, dirname(page), path))));
      assert.deepEqual(missing, []);
    });
  }
});

/** The headings that list the keys of a part of the configuration. */
const SECTIONS: readonly (readonly [page: string, heading: string, path: string, prefix?: string])[] = [
  ['configuration', 'listen', 'listen'],
  ['configuration', 'listen', 'listen.udp', 'udp: '],
  ['configuration', 'listen', 'listen.bind', 'bind: '],
  ['configuration', 'users', 'users'],
  ['configuration', 'accept', 'accept'],
  ['configuration', 'rules', 'rules'],
  ['configuration', 'Limits of a rule', 'rules.limit'],
  ['configuration', 'resolve', 'resolve'],
  ['configuration', 'timeouts', 'timeouts'],
  ['configuration', 'limits', 'limits'],
  ['configuration', 'log', 'log'],
  ['routes', 'Routes', 'routes'],
  ['routes', 'Upstreams', 'upstreams.*'],
  ['routes', 'Health', 'upstreams.*.health'],
  ['tls', 'A listener', 'listen.tls'],
  ['tls', 'An upstream', 'upstreams.*.tls'],
];

suite('the configuration is documented as the schema has it', () => {
  for (const [page, heading, path, prefix = ''] of SECTIONS) {
    test(`docs/${page}.md: ${path}`, () => {
      const words = firstCells(section(page, heading), 'key');
      const own = words.filter((word) => (prefix === '' ? !word.includes(': ') : word.startsWith(prefix)));
      same(
        own.map((word) => word.slice(prefix.length)),
        keysAt(path),
      );
    });
  }

  test('docs/configuration.md: sections', () => {
    const page = read('docs/configuration.md');
    const headings = [...page.matchAll(/^## ([a-z, 0-9-]+)$/gm)].flatMap(([, names]) => names!.split(', '));
    same([...headings, ...firstCells(section('configuration', 'Other keys'), 'key')], keysAt(''));
  });

  test('methods and protocols', () => {
    const methods = valuesAt('listen.methods');
    same(firstCells(section('authentication', 'Authentication'), 'method'), methods);
    same(quoted(row('listen', 'methods').split('Default')[0]!), methods);
    same(quoted(row('listen', 'protocols').split('Default')[0]!), valuesAt('listen.protocols'));
    same(quoted(row('rules', 'protocol')), valuesAt('rules.protocol'));
  });
});

suite('docs/records.md lists exactly the end codes that there are', () => {
  for (const [heading, codes] of [
    ['who', END_CODES.by],
    ['phase', END_CODES.phase],
    ['detail', END_CODES.detail],
  ] as const)
    test(heading, () => same(firstCells(section('records', 'End codes'), heading), codes));
});

suite('docs/records.md lists exactly the events that there are', () => {
  const text = section('records', 'Events');
  const NAMES = Object.keys(EVENTS) as EventName[];

  test('with their levels', () => {
    const rows = text.split('\n').filter((line) => line.startsWith('| `'));
    const levels = rows.flatMap((line) => {
      const [, names = '', level = ''] = line.split('|');
      return quoted(names).map((name) => `${name} ${quoted(level).join()}`);
    });
    same(
      levels,
      NAMES.map((name) => `${name} ${EVENTS[name].level}`),
    );
  });

  test('with a sample line of each', () => {
    const samples = [...text.matchAll(/^ {4}(\d{4}-\S+Z (\w+) ([a-z-]+).*)$/gm)];
    same([...new Set(samples.map(([, , , name]) => name!))], NAMES);
    for (const [, line = '', level, name] of samples) {
      const rest = line.slice(line.indexOf(` ${level} `) + level!.length + 2);
      const heading = headingOf(name as EventName);
      assert.ok(rest.startsWith(`${heading} `), line);
      assert.match(rest.slice(heading.length), /^( [\w-]+=("[^"]+"|[^\s"]+))+$/, line);
    }
  });
});

function same(documented: readonly string[], actual: readonly string[]): void {
  assert.deepEqual(documented.toSorted(), actual.toSorted());
}

function read(page: string): string {
  return readFileSync(join(ROOT, page), 'utf8');
}

/** The text under this heading of a page in docs/, at any level. */
function section(page: string, heading: string): string {
  const found = read(`docs/${page}.md`)
    .split(/^#+ /m)
    .find((part) => part.startsWith(`${heading}\n`));
  assert.ok(found, `docs/${page}.md has no heading ${heading}`);
  return found;
}

/** The quoted words in the first column of the first table with this heading. */
function firstCells(text: string, head: string): string[] {
  const [, rows = ''] = new RegExp(`^\\| ${head} \\|.*\\n\\|-.*\\n((?:\\|.*\\n?)+)`, 'm').exec(text) ?? [];
  return rows.split('\n').flatMap((line) => quoted(line.split('|')[1] ?? ''));
}

function row(heading: string, key: string): string {
  const line = section('configuration', heading)
    .split('\n')
    .find((each) => each.startsWith(`| \`${key}\` |`));
  return line?.split('|').slice(2).join('|') ?? '';
}

function quoted(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map(([, word]) => word!);
}

interface Schema {
  readonly enum?: readonly string[];
  readonly anyOf?: readonly Schema[];
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | false;
}

/** The schema of a key by its path, through lists and alternatives; `*`: a key that the operator names. */
function schemaAt(path: string): Schema {
  let schema = jsonSchema() as Schema;
  for (const key of path.split('.').filter((part) => part !== '')) {
    const inner = key === '*' ? schema.additionalProperties : propertiesOf(schema)[key];
    assert.ok(inner, `the schema has no ${path}`);
    schema = inner;
  }
  return schema;
}

function propertiesOf({ properties, items, anyOf = [] }: Schema): Readonly<Record<string, Schema>> {
  if (properties !== undefined) return properties;
  return Object.assign(
    {},
    ...[items, ...anyOf].map((part) => (part === undefined ? {} : propertiesOf(part))),
  );
}

function keysAt(path: string): string[] {
  return Object.keys(propertiesOf(schemaAt(path)));
}

function valuesAt(path: string): readonly string[] {
  const schema = schemaAt(path);
  return schema.enum ?? schema.anyOf?.find((part) => part.enum !== undefined)?.enum ?? [];
}
