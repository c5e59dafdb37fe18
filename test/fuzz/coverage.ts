import { Session } from 'node:inspector';
import type { Profiler } from 'node:inspector';

/** What is to be covered: garter, and the packages that read what others have written. */
const COVERED = /\/(?:src|node_modules\/(?:yaml|dns-packet))\/.*\.[jt]s$/;

/**
 * The coverage of V8 itself, block by block. Only code that is loaded after it was started is seen in blocks. V8 counts
 * from one reading to the next.
 */
export class CoverageReader implements Disposable {
  readonly #session = new Session();

  constructor() {
    this.#session.connect();
    this.#session.post('Profiler.enable');
    this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  /** What was executed since the last reading. */
  read(): readonly Profiler.ScriptCoverage[] {
    let scripts: readonly Profiler.ScriptCoverage[] = [];
    // In one's own thread the answer comes before `post` returns.
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

/** Which characters of which sources have been executed. */
export class Coverage {
  readonly #executed = new Map<string, Uint8Array>();
  /** How many characters. */
  size = 0;

  /** Whether there is something in a reading that was never executed before. */
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
  // What is inside comes after what is around it.
  for (const { startOffset, endOffset, count } of ranges)
    marks.fill(count > 0 ? 1 : 0, startOffset, endOffset);
  return marks;
}
