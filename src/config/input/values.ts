import type { Command } from '../../policy/policy.ts';

/** A list; the brackets around a single value may be omitted. */
export type OneOrMany<T> = T | readonly T[];

/** A password, or the path of a file that contains it; the file must not be readable by others. */
export type Secret = string | { readonly file: string };

/** More entries, in a file. */
export interface ListFile {
  /** Its path: one entry a line, # comments; for destinations also hosts(5). Read again with each reload. */
  readonly file: string;
}

/** A port (`443`), a range of them (`'8000-8999'`), or the name of a service (`'https'`). */
export type Ports = number | string;

/** The command of a request; `any` means all. */
export type CommandWord = Command | 'any';
