import assert from 'node:assert/strict';
import { test } from 'node:test';
import { jsonSchema } from './json-schema.ts';
import { settingsFromObject } from '../load.ts';

const SHAPES: readonly unknown[] = [
  null,
  1,
  true,
  'x',
  [],
  [1],
  [[]],
  [null],
  {},
  { file: 'x' },
  [{ file: 'x' }],
];

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | false;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
}

type Build = (value: unknown) => unknown;

/** Each position in a configuration that takes a value, as a function that puts a value there. */
function* placesIn(schema: Schema, build: Build): Generator<Build> {
  yield build;
  const { properties = {}, additionalProperties, items, anyOf = [] } = schema;
  for (const [key, part] of Object.entries(properties))
    yield* placesIn(part, (value) => build({ [key]: value }));
  if (typeof additionalProperties === 'object')
    yield* placesIn(additionalProperties, (value) => build({ one: value }));
  if (items !== undefined) yield* placesIn(items, (value) => build([value]));
  for (const part of anyOf) yield* placesIn(part, build);
}

function keysOf({ properties = {}, additionalProperties, items, anyOf = [] }: Schema): string[] {
  const parts = [...Object.values(properties), ...anyOf];
  if (typeof additionalProperties === 'object') parts.push(additionalProperties);
  if (items !== undefined) parts.push(items);
  return [...Object.keys(properties), ...parts.flatMap(keysOf)];
}

test('whatever value is in any position, no message mentions a key that does not exist, and each has a remedy', () => {
  const schema = jsonSchema() as Schema;
  const keys = new Set(keysOf(schema));
  let asked = 0;
  for (const build of placesIn(schema, (value) => value)) {
    for (const shape of SHAPES) {
      const config = build(shape);
      const written = JSON.stringify(config);
      for (const { message, remedy } of settingsFromObject(config, false).errors) {
        const [, missing] = /^"(.*)" is missing$/.exec(message) ?? [];
        assert.ok(missing === undefined || keys.has(missing), `${written}: ${message}`);
        const [, unknown] = /^"(.*)" is not a network$/.exec(message) ?? [];
        assert.ok(unknown === undefined || written.includes(`"${unknown}"`), `${written}: ${message}`);
        assert.match(remedy, /^(?!undefined)./, written);
      }
      asked++;
    }
  }
  assert.ok(asked > 1000);
});
