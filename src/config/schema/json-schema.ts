import { z } from 'zod';
import { ALONE_LIST, lists, sections } from './schema.ts';
import { ALONE, SHORT } from './value.ts';

/**
 * The JSON Schema of a configuration file (draft 7, which editors support best); it only contains supported
 * features.
 */
export function jsonSchema(): object {
  const whole = z.strictObject({
    ...Object.fromEntries(Object.entries(lists).map(([name, entry]) => [name, z.array(entry).optional()])),
    [ALONE_LIST]: z
      .array(lists[ALONE_LIST])
      .meta({ description: 'Listeners.', [ALONE]: true })
      .optional(),
    ...Object.fromEntries(Object.entries(sections).map(([name, section]) => [name, section.optional()])),
  });
  const { $schema, ...schema } = z.toJSONSchema(whole, { io: 'input', target: 'draft-7' });
  return {
    $schema,
    title: 'garter',
    description: 'The configuration of a garter server.',
    ...asWritten(schema),
  };
}

/** Adds the short forms: a single value for a list, and the value of one key for a mapping. */
function asWritten(schema: object): object {
  const entries = Object.entries(schema).map(([key, part]) => [key, isObject(part) ? asWritten(part) : part]);
  const copy = Object.fromEntries(entries);
  if (SHORT in copy) {
    const { [SHORT]: key, ...rest } = copy;
    return { anyOf: [copy.properties[key], rest] };
  }
  if (!(ALONE in copy)) return copy;
  const { [ALONE]: _, type, items, minItems, ...rest } = copy;
  return { ...rest, anyOf: [{ type, items, minItems }, items] };
}

function isObject(part: unknown): part is object {
  return typeof part === 'object' && part !== null && !Array.isArray(part);
}
