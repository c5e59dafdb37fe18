import type { Line } from './line.ts';
import { codeOf } from '../wire/error-code.ts';

/** A destination for lines. */
export interface Sink {
  /** Never rejects; not called again until it has settled. */
  write(lines: readonly Line[]): Promise<WriteOutcome>;
  /** Releases all resources. A write in progress is cut short. */
  close(): void;
}

export interface WriteOutcome {
  /** Lines that are finished, counted from the first. The rest will be written again. */
  readonly taken: number;
  /** Lines that were taken, now or earlier, but are known to be lost. @default 0 */
  readonly lost?: number;
  /** Why not all were taken, in one word: usually the system's error code. */
  readonly fault?: string;
}

/** The code of Node's error, for `WriteOutcome.fault`. */
export function faultOf(error: unknown): string {
  return codeOf(error) ?? (error as Error).message;
}
