import { z } from 'zod';
import { lists, sections } from './schema.ts';
import { ALONE, SHORT } from './value.ts';

/** The JSON Schema (draft 7, which editors know best) of a configuration file; only what is built is in it. */
export function jsonSchema(): object {
  const whole = z.strictObject({
    ...Object.fromEntries(Object.entries(lists).map(([name, entry]) => [name, z.array(entry).optional()])),
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

/** A list whose only value may be written without brackets is that list or that value; likewise keys that may be written as the value of one. */
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
