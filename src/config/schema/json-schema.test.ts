import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { jsonSchema } from './json-schema.ts';

const FOLDER = join(import.meta.dirname, '../../../test/config');

/** All configurations in the golden files, and whether they are valid. */
const CONFIGS = readdirSync(FOLDER)
  .filter((name) => name.endsWith('.txt'))
  .map((name) => ({ name, text: readFileSync(join(FOLDER, name), 'utf8').split(/^-{72}\n/m)[0]! }));

/** A validator for the subset of JSON Schema in use; returns faults by path and keyword. */
function faults(schema: Schema, value: unknown, at = ''): string[] {
  const found: string[] = [];
  const fault = (keyword: string): void => void found.push(`${at} ${keyword}`);
  const passes = (part: Schema): boolean => faults(part, value, at).length === 0;
  if (schema.type !== undefined && ![schema.type].flat().includes(typeOf(value))) fault('type');
  if (schema.enum?.includes(value) === false) fault('enum');
  if (schema.anyOf?.some(passes) === false) fault('anyOf');
  if (schema.oneOf !== undefined && schema.oneOf.filter(passes).length !== 1) fault('oneOf');
  if (typeof value === 'string' && schema.pattern !== undefined && !new RegExp(schema.pattern).test(value))
    fault('pattern');
  if (typeof value === 'number' && value < (schema.minimum ?? value)) fault('minimum');
  if (Array.isArray(value)) {
    if (value.length < (schema.minItems ?? 0)) fault('minItems');
    if (schema.items !== undefined)
      found.push(...value.flatMap((item, i) => faults(schema.items!, item, `${at}[${i}]`)));
  } else if (typeof value === 'object' && value !== null) {
    for (const key of schema.required ?? []) if (!Object.hasOwn(value, key)) fault(`required ${key}`);
    for (const [key, item] of Object.entries(value)) {
      const inner = schema.properties?.[key] ?? schema.additionalProperties ?? {};
      if (inner === false) fault(`additionalProperties ${key}`);
      else found.push(...faults(inner, item, `${at}.${key}`));
    }
  }
  return found;
}

interface Schema {
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly minItems?: number;
  readonly items?: Schema;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | false;
  readonly description?: string;
}

function typeOf(value: unknown): string {
  if (Array.isArray(value)) return 'array';
  if (value === null) return 'null';
  return typeof value === 'number' && Number.isInteger(value) ? 'integer' : typeof value;
}

test('an editor accepts valid configurations', () => {
  const valid = CONFIGS.filter(({ name }) => name.startsWith('valid-'));
  assert(valid.length >= 3);
  for (const { name, text } of valid) {
    assert.deepEqual(faults(jsonSchema(), parse(text)), [], name);
  }
});

test('an editor finds unknown keys, words and kinds of values', () => {
  for (const name of ['unknown-key', 'bad-values', 'not-yet', 'many-problems', 'list']) {
    const { text } = CONFIGS.find((one) => one.name === `${name}.txt`)!;
    assert.notDeepEqual(faults(jsonSchema(), parse(text)), [], name);
  }
  const config = {
    rules: [{ allow: 'any', to: 'any', deny: 'any' }, { allow: 'any' }, { allow: 'all', to: [], x: 1 }],
    timeouts: { idle: 30 },
  };
  assert.deepEqual(faults(jsonSchema(), config), [
    '.rules[0] oneOf',
    '.rules[1] required to',
    '.rules[2].allow anyOf',
    '.rules[2].to anyOf',
    '.rules[2] additionalProperties x',
    '.timeouts.idle type',
  ]);
});

test('every key is described, and unsupported ones are absent', () => {
  const visit = ({ properties = {}, items, anyOf = [] }: Schema, path: readonly string[]): void => {
    for (const [key, inner] of Object.entries(properties)) {
      const name = [...path, key].join('.');
      assert(
        inner.description ?? inner.items?.description ?? name === 'log.to.file',
        `${name} has no description`,
      );
      visit(inner, [...path, key]);
    }
    for (const inner of [...anyOf, ...(items === undefined ? [] : [items])]) visit(inner, path);
  };
  visit(jsonSchema(), []);
});

test('docs/configuration.md, or the page about routes or TLS, has every key', () => {
  const docs = ['configuration', 'routes', 'tls']
    .map((page) => readFileSync(join(FOLDER, `../../docs/${page}.md`), 'utf8'))
    .join('');
  const keys = new Set<string>();
  const visit = ({ properties = {}, items, anyOf = [] }: Schema): void => {
    for (const [key, inner] of Object.entries(properties)) {
      keys.add(key);
      visit(inner);
    }
    for (const inner of [...anyOf, ...(items === undefined ? [] : [items])]) visit(inner);
  };
  visit(jsonSchema());
  const missing = [...keys].filter(
    (key) => !new RegExp(`^## (\\w+, )?${key}(,|$)|\`(udp: )?${key}\``, 'm').test(docs),
  );
  assert.deepEqual(missing, []);
});
