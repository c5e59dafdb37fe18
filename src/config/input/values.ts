import type { Command } from '../../policy/policy.ts';

/** A list; of a single value the brackets may be left out. */
export type OneOrMany<T> = T | readonly T[];

/** A password, or the path of the file that holds it; nobody else may be able to read that file. */
export type Secret = string | { readonly file: string };

/** A port (`443`) or a range of them (`'8000-8999'`). */
export type Ports = number | string;

/** What a request asks for; `any` is all of them. */
export type CommandWord = Command | 'any';
