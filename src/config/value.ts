import { z } from 'zod';
import { maskUrls } from './secret.ts';

/** A value that cannot be used, and what to write instead. */
export class ValueError extends Error {
  override readonly name = 'ValueError';
  readonly remedy: string;

  constructor(message: string, remedy: string) {
    super(message);
    this.remedy = remedy;
  }
}

/** What an editor is told of a value: a piece of JSON Schema. */
export interface Hints {
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly object[];
  readonly items?: object;
  readonly pattern?: string;
  readonly minimum?: number;
  readonly examples?: readonly unknown[];
}

/** A single value. `parse` throws a ValueError for what it cannot use. */
export function value<T>(hints: Hints, parse: (input: unknown) => T): z.ZodType<T> {
  return z
    .unknown()
    .transform((input, context) => {
      try {
        return parse(input);
      } catch (error) {
        if (error instanceof ValueError) return refuse(context, input, error);
        throw error;
      }
    })
    .meta({ ...hints });
}

/** One of a few words; those in `later` are known, but not yet built. */
export function choice<const T extends string>(words: readonly T[], later: readonly string[] = []): z.ZodType<T> {
  return value({ type: 'string', enum: words }, (input) => {
    const word = words.find((one) => one === input);
    if (word !== undefined) return word;
    if (typeof input === 'string' && later.includes(input)) throw notYet(quote(input));
    throw new ValueError(`${quote(input)} is not known here`, `write ${either(words)}`);
  });
}

/** A list of at least one; a value that stands alone is a list of one. */
export function list<T>(item: z.ZodType<T>, example = 'at least one value, or leave the key out'): z.ZodType<T[]> {
  return z
    .preprocess((input, context) => {
      const values = Array.isArray(input) ? input : [input];
      if (values.length > 0 && input !== undefined && input !== null) return values;
      return refuse(context, input, new ValueError('there is nothing in this list', `write ${example}`));
    }, z.array(item))
    .meta({ minItems: 1, [ALONE]: true });
}

/** Marks a list in the JSON Schema whose only value may stand without brackets. */
export const ALONE = 'alone';

/** Keys and values. For unknown keys, the message of the issue is the list of those that are known. */
export function keys<S extends z.ZodRawShape>(example: string, shape: S): z.ZodType<z.output<z.ZodObject<S>>> {
  const known = Object.keys(shape).join(' ');
  return z.preprocess((input, context) => expectKeys(input, example, context), z.strictObject(shape, known));
}

/** Keys of one kind, and their values. */
export function keyed<T>(key: z.ZodType<string>, item: z.ZodType<T>, example: string): z.ZodType<Record<string, T>> {
  return z.preprocess((input, context) => {
    const map = expectKeys(input, example, context);
    for (const name of Object.keys(map)) {
      for (const issue of key.safeParse(name).error?.issues ?? []) {
        context.addIssue({ ...issue, code: 'custom', path: [name], params: { ...('params' in issue && issue.params), isKey: true } });
      }
    }
    return map;
  }, z.record(z.string(), item));
}

export function optional<T>(schema: z.ZodType<T>, description: string): z.ZodExactOptional<z.ZodType<T>> {
  return schema.describe(description).exactOptional();
}

export function isKeys(input: unknown): input is Readonly<Record<string, unknown>> {
  return typeof input === 'object' && input !== null && !Array.isArray(input);
}

/** The keys that have a value: in an object of JavaScript, `undefined` is none. */
function expectKeys(input: unknown, example: string, context: z.core.$RefinementCtx): object {
  if (isKeys(input)) return Object.fromEntries(Object.entries(input).filter(([, item]) => item !== undefined));
  return refuse(context, input, new ValueError(`${quote(input)} stands where keys and values are expected`, `write ${example}`));
}

function refuse(context: z.core.$RefinementCtx, input: unknown, error: ValueError): never {
  context.addIssue({ code: 'custom', message: error.message, params: { remedy: error.remedy }, input });
  return z.NEVER;
}

/** Text as it was written; a number or a date in disguise is not. */
export function text(input: unknown, example: string): string {
  if (typeof input === 'string' && input !== '') return input;
  throw new ValueError(`${quote(input)} is not text`, `write ${example}`);
}

export function notYet(what: string): ValueError {
  return new ValueError(`not yet: ${what} is not built in this version`, 'leave it out');
}

/** A value as messages show it: short, control characters escaped, passwords of URLs masked. */
export function quote(input: unknown): string {
  if (input === undefined || input === null) return 'nothing';
  if (Array.isArray(input)) return 'a list';
  if (typeof input === 'object') return 'a map';
  const shown = maskUrls(typeof input === 'string' ? JSON.stringify(input) : String(input));
  return shown.length > 60 ? `${shown.slice(0, 57)}…` : shown;
}

/** `a, b or c` */
export function either(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}
