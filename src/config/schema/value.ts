import { z } from 'zod';
import { ValueError, either, notYet, quote } from '../source/value-error.ts';

/** What an editor is told of a value: a piece of JSON Schema. */
export interface Hints {
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly object[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly examples?: readonly unknown[];
}

/** A single value. `parse` throws a ValueError for what it cannot use. */
export function value<T>(hints: Hints, parse: (input: unknown) => T): z.ZodType<T> {
  return z
    .unknown()
    .meta({ ...hints })
    .transform((input, context) => {
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
): z.ZodType<T> {
  return value({ type: 'string', enum: words }, (input) => {
    const word = words.find((one) => one === input);
    if (word !== undefined) return word;
    if (typeof input === 'string' && later.includes(input)) throw notYet(quote(input));
    throw new ValueError(`${quote(input)} is not known here`, `write ${either(words)}`);
  });
}

export interface ListOptions {
  /** What to write where there is nothing. */
  readonly example?: string;
  /** @default 1 */
  readonly least?: 0 | 1;
}

/** A list; a value that stands alone is a list of one. */
export function list<T>(item: z.ZodType<T>, options: ListOptions = {}): z.ZodType<T[]> {
  const { example = 'at least one value, or leave the key out', least = 1 } = options;
  return z
    .preprocess((input, context) => {
      const values = Array.isArray(input) ? input : [input];
      if (values.length >= least && input !== undefined && input !== null) return values;
      return refuse(context, input, new ValueError('there is nothing in this list', `write ${example}`));
    }, z.array(item))
    .meta({ minItems: least, [ALONE]: true });
}

/** Marks a list in the JSON Schema whose only value may stand without brackets. */
export const ALONE = 'alone';

/** Keys and values. For unknown keys, the message of the issue is the list of those that are known. */
export function keys<S extends z.ZodRawShape>(
  example: string,
  shape: S,
): z.ZodType<z.output<z.ZodObject<S>>> {
  const known = Object.keys(shape).join(' ');
  return z.preprocess((input, context) => expectKeys(input, example, context), z.strictObject(shape, known));
}

/** Keys and values, for which text may stand that is the value of one of the keys. */
export function standsFor<T>(key: string, schema: z.ZodType<T>): z.ZodType<T> {
  return z
    .preprocess((input) => (typeof input === 'string' ? { [key]: input } : input), schema)
    .meta({ [SHORT]: key });
}

/** Marks keys and values in the JSON Schema for which the value of this one key may stand. */
export const SHORT = 'short';

/** Keys of one kind, and their values. */
export function keyed<T>(
  key: z.ZodType<string>,
  item: z.ZodType<T>,
  example: string,
): z.ZodType<Record<string, T>> {
  return z.preprocess(
    (input, context) => {
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

export function optional<T>(schema: z.ZodType<T>, description: string): z.ZodExactOptional<z.ZodType<T>> {
  return schema.describe(description).exactOptional();
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
    new ValueError(`${quote(input)} stands where keys and values are expected`, `write ${example}`),
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
