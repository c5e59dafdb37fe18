import { z } from 'zod';
import type { OneOrMany } from '../input/values.ts';
import { ValueError, either, notYet, quote } from '../source/value-error.ts';

/**
 * A schema, by what it takes and what it makes of that. What it takes is exact: a schema of text is not one of text or numbers, so that
 * the types in input/ say all that may be written, and nothing else.
 */
export interface Schema<out Out, in out In> extends z.ZodType<Out, In> {}

/** What an editor needs to know of a value: a piece of JSON Schema. */
export interface Hints {
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly object[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly examples?: readonly unknown[];
}

/** A single value. `parse` throws a ValueError for what it cannot use. */
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

/** One of a few words; those in `later` are known, but not yet built. */
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
  /** What to write where there is nothing. */
  readonly example?: string;
  /** @default 1 */
  readonly least?: 0 | 1;
}

/** A list; a single value is a list of one. */
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

/** Marks a list in the JSON Schema whose only value may be written without brackets. */
export const ALONE = 'alone';

/** The schema of each key of an object. What it takes and what it makes have the same keys, the same of them optional. */
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

/** Keys and values. For unknown keys, the message of the issue is the list of those that are known. */
export function keys<Out, In>(example: string, shape: Shape<Out, In>): Schema<Out, In> {
  const inner = z.strictObject(shape, Object.keys(shape).join(' '));
  const schema = z.preprocess((input, context) => expectKeys(input, example, context), inner);
  return schema as z.ZodType as Schema<Out, In>;
}

/** Keys and values, or text that is the value of one of the keys. */
export function standsFor<T, In>(key: string, schema: Schema<T, In>): Schema<T, In | string> {
  return z
    .preprocess((input: In | string) => (typeof input === 'string' ? { [key]: input } : input), schema)
    .meta({ [SHORT]: key });
}

/** Marks keys and values in the JSON Schema that may be written as the value of this one key. */
export const SHORT = 'short';

/** Keys of one kind, and their values. */
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

/** A key that may be left out; `expectKeys` leaves out what is `undefined`. */
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

/** The keys that have a value: in an object of JavaScript, `undefined` is none. */
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

/** Text, or a number as text: YAML takes 80 and 127.1 for numbers. Anything else is empty. */
export function plain(input: unknown): string {
  return typeof input === 'string' || typeof input === 'number' ? String(input) : '';
}

/** Text as it was written; a number or a date in disguise is not. */
export function text(input: unknown, example: string): string {
  if (typeof input === 'string' && input !== '') return input;
  throw new ValueError(`${quote(input)} is not text`, `write ${example}`);
}
