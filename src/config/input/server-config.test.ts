import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import type { z } from 'zod';
import { count, time } from '../schema/scalars.ts';
import type { ALONE_LIST, lists, sections } from '../schema/schema.ts';
import { keys, list, optional } from '../schema/value.ts';
import type { FileConfig } from './server-config.ts';
import type { OneOrMany } from './values.ts';

/** The input types of the schema, reassembled. */
type Taken = {
  readonly [K in keyof typeof lists]?:
    | (K extends typeof ALONE_LIST
        ? OneOrMany<z.input<(typeof lists)[K]>>
        : readonly z.input<(typeof lists)[K]>[])
    | undefined;
} & { readonly [K in keyof typeof sections]?: z.input<(typeof sections)[K]> | undefined };

type Flat<T> = { readonly [K in keyof T]: T[K] };
type Same<A, B> =
  (<T>(value: T) => T extends A ? 1 : 2) extends <T>(value: T) => T extends B ? 1 : 2
    ? true
    : 'these are two types';

interface Made {
  readonly every: number;
  readonly fail?: number[];
}

interface Written {
  readonly every: string;
  readonly fail?: OneOrMany<number> | undefined;
}

// The failures are at compile time: `npm run check:types` runs this test.
suite('the types of the configuration match the schema', () => {
  test('as a whole', () => {
    const same: Same<Flat<Taken>, Flat<FileConfig>> = true;
    assert.ok(same);
  });

  test('every object: the same keys, the same of them optional, each of the same type', () => {
    const fail = optional(list(count), '');
    keys<Made, Written>('', { every: time, fail });
    // @ts-expect-error: a key that the types do not have
    keys<Made, Written>('', { every: time, fail, recover: fail });
    // @ts-expect-error: a key that is in the types and not in the schema
    keys<Made, Written>('', { every: time });
    // @ts-expect-error: a key that only one of the types has
    keys<Made & { readonly connect: number }, Written>('', { every: time, fail, connect: time });
    // @ts-expect-error: required in the types, optional in the schema
    keys<Made, Written>('', { every: optional(time, ''), fail });
    // @ts-expect-error: optional in one type, required in the other
    keys<Made, Required<Written>>('', { every: time, fail });
    // @ts-expect-error: the types accept less than the schema
    keys<Made, Omit<Written, 'fail'> & { readonly fail?: number | undefined }>('', { every: time, fail });
    // @ts-expect-error: the types accept more than the schema
    keys<Made, Omit<Written, 'every'> & { readonly every: string | number }>('', { every: time, fail });
  });

  test('every key has a docstring', () => {
    for (const file of globSync('*.ts', { cwd: import.meta.dirname })) {
      if (file.endsWith('.test.ts')) continue;
      const lines = readFileSync(join(import.meta.dirname, file), 'utf8').split('\n');
      const bare = lines.filter((line, i) => line.startsWith('  readonly ') && !lines[i - 1]!.endsWith('*/'));
      assert.deepEqual(bare, [], file);
    }
  });
});
