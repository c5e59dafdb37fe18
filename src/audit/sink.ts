import type { Line } from './line.ts';
import { codeOf } from '../wire/error-code.ts';

/** Where lines go. */
export interface Sink {
  /** Never rejects, and is not called again before it is done. */
  write(lines: readonly Line[]): Promise<Outcome>;
  /** Lets go of everything. A write that is still under way is cut short. */
  close(): void;
}

export interface Outcome {
  /** Lines that are done with, from the first on. The others will come again. */
  readonly taken: number;
  /** Lines that were taken, now or earlier, and are known not to have arrived. @default 0 */
  readonly lost?: number;
  /** Why not all were taken, in one word: as a rule the system's error code. */
  readonly fault?: string;
}

/** The code of Node's error, for `Outcome.fault`. */
export function faultOf(error: unknown): string {
  return codeOf(error) ?? (error as Error).message;
}
