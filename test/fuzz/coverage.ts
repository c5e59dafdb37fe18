import { Session } from 'node:inspector';
import type { Profiler } from 'node:inspector';

/** The code to cover: garter, and the packages that parse external input. */
const COVERED = /\/(?:src|node_modules\/(?:yaml|dns-packet))\/.*\.[jt]s$/;

/**
 * V8's own block coverage. Only code that is loaded after it was started is covered in blocks. V8 counts from
 * one reading to the next.
 */
export class CoverageReader implements Disposable {
  readonly #session = new Session();

  constructor() {
    this.#session.connect();
    this.#session.post('Profiler.enable');
    this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  /** The code executed since the last reading. */
  read(): readonly Profiler.ScriptCoverage[] {
    let scripts: readonly Profiler.ScriptCoverage[] = [];
    // Within the same thread, the answer arrives before `post` returns.
    this.#session.post('Profiler.takePreciseCoverage', (error, { result }) => {
      if (error !== null) throw error;
      scripts = result.filter(({ url }) => COVERED.test(url));
    });
    return scripts;
  }

  [Symbol.dispose](): void {
    this.#session.disconnect();
  }
}

/** The executed characters of each source. */
export class Coverage {
  readonly #executed = new Map<string, Uint8Array>();
  /** The number of executed characters. */
  size = 0;

  /** Whether a reading contains code that was never executed before. */
  lacks(reading: readonly Profiler.ScriptCoverage[]): boolean {
    return reading.some((script) => {
      const before = this.#executed.get(script.url);
      const marks = executed(script);
      for (let at = 0; at < marks.length; at++) if (marks[at]! > (before?.[at] ?? 0)) return true;
      return false;
    });
  }

  add(reading: readonly Profiler.ScriptCoverage[]): void {
    for (const script of reading) {
      const marks = executed(script);
      const before = this.#executed.get(script.url);
      const both = new Uint8Array(Math.max(marks.length, before?.length ?? 0));
      both.set(before ?? []);
      for (let at = 0; at < marks.length; at++) {
        if (marks[at] === 0 || both[at] === 1) continue;
        both[at] = 1;
        this.size++;
      }
      this.#executed.set(script.url, both);
    }
  }
}

/** 1 for every character that was executed. */
function executed({ functions }: Profiler.ScriptCoverage): Uint8Array {
  const ranges = functions.flatMap((one) => one.ranges);
  const marks = new Uint8Array(Math.max(0, ...ranges.map(({ endOffset }) => endOffset)));
  // Inner ranges follow the ranges that contain them.
  for (const { startOffset, endOffset, count } of ranges)
    marks.fill(count > 0 ? 1 : 0, startOffset, endOffset);
  return marks;
}
