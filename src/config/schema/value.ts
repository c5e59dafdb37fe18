import { z } from 'zod';
import type { OneOrMany } from '../input/values.ts';
import { ValueError, either, notYet, quote } from '../source/value-error.ts';

/**
 * A schema with its output and input types. The input type is exact: a schema for text is not assignable to
 * one for text or numbers, so the types in input/ describe exactly what may be written.
 */
export interface Schema<out Out, in out In> extends z.ZodType<Out, In> {}

/** A piece of JSON Schema that describes a value to editors. */
export interface Hints {
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly object[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly examples?: readonly unknown[];
}

/** A scalar value. `parse` throws a ValueError for invalid input. */
export function value<T, In>(hints: Hints, parse: (input: unknown) => T): Schema<T, In> {
  return z
    .any()
    .meta({ ...hints })
    .transform((input: unknown, context) => {
      try {
        return parse(input);
      } catch (error) {
        if (error instanceof ValueError) return refuse(context, input, error);
        throw error;
      }
    });
}

/** One of a few words; those in `later` are known, but not supported yet. */
export function choice<const T extends string>(
  words: readonly T[],
  later: readonly string[] = [],
): Schema<T, T> {
  return value({ type: 'string', enum: words }, (input) => {
    const word = words.find((one) => one === input);
    if (word !== undefined) return word;
    if (typeof input === 'string' && later.includes(input)) throw notYet(quote(input));
    throw new ValueError(`${quote(input)} is not a valid value`, `write ${either(words)}`);
  });
}

export interface ListOptions {
  /** What to write instead of an empty list. */
  readonly example?: string;
  /** @default 1 */
  readonly least?: 0 | 1;
}

/** A list; a single value is accepted as a list of one. */
export function list<T, In>(item: Schema<T, In>, options: ListOptions = {}): Schema<T[], OneOrMany<In>> {
  const { example = 'at least one value, or leave the key out', least = 1 } = options;
  return z
    .preprocess((input: OneOrMany<In>, context) => {
      const values = Array.isArray(input) ? input : [input];
      if (values.length >= least && input !== undefined && input !== null) return values;
      return refuse(context, input, new ValueError('this list is empty', `write ${example}`));
    }, z.array(item))
    .meta({ minItems: least, [ALONE]: true });
}

/** Marks a list in the JSON Schema that accepts a single value without brackets. */
export const ALONE = 'alone';

/**
 * The schema of each key of an object. Input and output have the same keys, and the same ones are optional.
 */
export type Shape<Out, In> = {
  readonly [K in keyof Out | keyof In]-?: K extends keyof Out & keyof In ? Field<Out, In, K> : never;
};

type Field<Out, In, K extends keyof Out & keyof In> =
  IsOptional<Out, K> extends IsOptional<In, K>
    ? IsOptional<In, K> extends true
      ? z.ZodExactOptional<Schema<Required<Out>[K], Required<In>[K]>>
      : Schema<Out[K], In[K]>
    : never;

type IsOptional<T, K extends keyof T> = Pick<T, K> extends Required<Pick<T, K>> ? false : true;

/** A mapping with a fixed set of keys. For an unknown key, the issue's message lists the known ones. */
export function keys<Out, In>(example: string, shape: Shape<Out, In>): Schema<Out, In> {
  const inner = z.strictObject(shape, Object.keys(shape).join(' '));
  const schema = z.preprocess((input, context) => expectKeys(input, example, context), inner);
  return schema as z.ZodType as Schema<Out, In>;
}

/** A mapping, or text as a short form for the value of one of its keys. */
export function standsFor<T, In>(key: string, schema: Schema<T, In>): Schema<T, In | string> {
  return z
    .preprocess((input: In | string) => (typeof input === 'string' ? { [key]: input } : input), schema)
    .meta({ [SHORT]: key });
}

/** Marks a mapping in the JSON Schema that may be written as the value of this one key. */
export const SHORT = 'short';

/** A mapping with arbitrary keys, all of one kind. */
export function keyed<T, In>(
  key: Schema<string, string>,
  item: Schema<T, In>,
  example: string,
): Schema<Record<string, T>, Readonly<Record<string, In>>> {
  return z.preprocess(
    (input: Readonly<Record<string, In>>, context) => {
      const map = expectKeys(input, example, context);
      if (!isKeys(input)) return map;
      for (const name of Object.keys(map)) {
        for (const issue of key.safeParse(name).error?.issues ?? []) {
          context.addIssue({
            ...issue,
            code: 'custom',
            path: [name],
            params: { ...('params' in issue && issue.params), isKey: true },
          });
        }
      }
      return map;
    },
    z.record(z.string(), item),
  );
}

/** A key that may be omitted; `expectKeys` removes keys that are `undefined`. */
export function optional<T, In>(
  schema: Schema<T, In>,
  description: string,
): z.ZodExactOptional<Schema<T, In | undefined>> {
  const described = schema.describe(description) as z.ZodType as Schema<T, In | undefined>;
  return described.exactOptional();
}

export function isKeys(input: unknown): input is Readonly<Record<string, unknown>> {
  return typeof input === 'object' && input !== null && !Array.isArray(input);
}

/** The keys that have a value: in a JavaScript object, `undefined` counts as absent. */
function expectKeys(input: unknown, example: string, context: z.core.$RefinementCtx): object {
  if (isKeys(input))
    return Object.fromEntries(Object.entries(input).filter(([, item]) => item !== undefined));
  return refuse(
    context,
    input,
    new ValueError(`${quote(input)} is not a mapping of keys and values`, `write ${example}`),
  );
}

function refuse(context: z.core.$RefinementCtx, input: unknown, error: ValueError): never {
  context.addIssue({ code: 'custom', message: error.message, params: { remedy: error.remedy }, input });
  return z.NEVER;
}

/**
 * Text, or a number as text, since YAML parses 80 and 127.1 as numbers; an empty string for anything else.
 */
export function plain(input: unknown): string {
  return typeof input === 'string' || typeof input === 'number' ? String(input) : '';
}

/** Text as written; rejects values that YAML parsed as a number or date. */
export function text(input: unknown, example: string): string {
  if (typeof input === 'string' && input !== '') return input;
  throw new ValueError(`${quote(input)} is not text`, `write ${example}`);
}
