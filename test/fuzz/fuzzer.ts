import { Coverage } from './coverage.ts';
import type { CoverageReader } from './coverage.ts';
import { minimise } from './minimise.ts';
import { mutate } from './mutate.ts';
import type { Random } from './random.ts';
import { BrokenPromise } from './target.ts';
import type { Target } from './target.ts';

/** Inputs between two readings of the coverage, each of which takes as long as hundreds of inputs. */
const BATCH = 256;
/** Milliseconds of CPU time after which an input counts as a find. */
const SLOW = 1000;
/** Stack frames in finds. */
const STACK = 20;
/** Corpus entries kept only for their outcome. */
const OUTCOMES_LIMIT = 200;

/** An input that violated a guarantee. */
export interface Find {
  readonly target: string;
  /** What is wrong, in the same words for all inputs that cause it. */
  readonly fault: string;
  readonly error: unknown;
  readonly input: Uint8Array;
}

type Watch = (input: Uint8Array) => void;

/** Fuzzes one target: inputs that reach new code or a new outcome are kept and mutated further. */
export class Fuzzer {
  readonly target: Target;
  readonly finds: Map<string, Find> = new Map();
  /** Number of inputs run. */
  runs = 0;
  readonly #reader: CoverageReader;
  readonly #random: Random;
  readonly #watch: Watch;
  #corpus: Uint8Array[] = [];
  readonly #coverage = new Coverage();
  readonly #outcomes = new Set<string>();

  /** `watch` receives every input before it is run. */
  constructor(target: Target, reader: CoverageReader, random: Random, watch: Watch = () => undefined) {
    this.target = target;
    this.#reader = reader;
    this.#random = random;
    this.#watch = watch;
  }

  get corpus(): readonly Uint8Array[] {
    return this.#corpus;
  }

  /** Covered characters of source code. */
  get covered(): number {
    return this.#coverage.size;
  }

  /** Adds to the corpus those inputs that contribute something new. */
  async adopt(inputs: readonly Uint8Array[]): Promise<void> {
    this.#corpus.push(...(await this.#choose(inputs, this.#coverage)));
  }

  /** Removes from the corpus entries whose coverage shorter ones provide as well. */
  async distil(): Promise<void> {
    this.#outcomes.clear();
    this.#corpus = await this.#choose(this.#corpus, new Coverage());
  }

  /** Runs batches of new inputs until `isOver` returns true. */
  async fuzz(isOver: (fuzzer: Fuzzer) => boolean): Promise<void> {
    const stack = Error.stackTraceLimit;
    // There are many errors, and capturing stacks is most of their cost.
    Error.stackTraceLimit = 0;
    if (this.#corpus.length === 0) this.#corpus.push(new Uint8Array());
    while (!isOver(this)) await this.#fuzzBatch();
    Error.stackTraceLimit = stack;
  }

  async #fuzzBatch(): Promise<void> {
    const material = { others: this.#corpus, tokens: this.target.tokens ?? [] };
    const batch = Array.from({ length: BATCH }, () => mutate(this.#parent(), material, this.#random));
    this.#reader.read();
    await this.#runAll(batch);
    const reading = this.#reader.read();
    if (!this.#coverage.lacks(reading)) return;
    await this.#keepNew(batch);
    // Coverage caused by chance or timing, which does not recur, is then ignored.
    this.#coverage.add(reading);
  }

  /** The inputs that reach new code or a new outcome, shorter ones first. */
  async #choose(inputs: readonly Uint8Array[], coverage: Coverage): Promise<Uint8Array[]> {
    const chosen: Uint8Array[] = [];
    for (const input of inputs.toSorted((a, b) => a.length - b.length || Buffer.compare(a, b))) {
      this.#reader.read();
      const isNewOutcome = await this.#run(input);
      const reading = this.#reader.read();
      const isNewCode = coverage.lacks(reading);
      if (isNewCode) coverage.add(reading);
      if (isNewCode || (isNewOutcome && chosen.length < OUTCOMES_LIMIT)) chosen.push(input);
    }
    return chosen;
  }

  /** An input to mutate; the newest are more likely. */
  #parent(): Uint8Array {
    const random = this.#random;
    const corpus = this.#corpus;
    return random.pick(random.below(4) === 0 ? corpus.slice(-8) : corpus);
  }

  /** Runs a batch again, in halves, to find the inputs that reach new code. */
  async #keepNew(batch: readonly Uint8Array[]): Promise<void> {
    this.#reader.read();
    await this.#runAll(batch);
    const reading = this.#reader.read();
    if (!this.#coverage.lacks(reading)) return;
    if (batch.length === 1) {
      this.#corpus.push(batch[0]!);
      this.#coverage.add(reading);
      return;
    }
    const middle = batch.length >>> 1;
    await this.#keepNew(batch.slice(0, middle));
    await this.#keepNew(batch.slice(middle));
  }

  async #runAll(inputs: readonly Uint8Array[]): Promise<void> {
    for (const input of inputs) {
      if (await this.#run(input)) this.#corpus.push(input);
    }
  }

  /** True when the outcome is new. */
  async #run(input: Uint8Array): Promise<boolean> {
    this.runs++;
    this.#watch(input);
    const start = performance.now();
    try {
      const outcome = this.target.run(input);
      const kind = typeof outcome === 'string' ? outcome : await outcome;
      if (performance.now() - start > SLOW) await this.#checkTime(input);
      if (this.#outcomes.has(kind)) return false;
      this.#outcomes.add(kind);
      return true;
    } catch (error) {
      await this.#found(error, input);
      return false;
    }
  }

  /** The machine may have been busy, so CPU time is measured. */
  async #checkTime(input: Uint8Array): Promise<void> {
    const before = process.cpuUsage();
    await this.target.run(input);
    const { user, system } = process.cpuUsage(before);
    const took = (user + system) / 1000;
    if (took > SLOW) throw new BrokenPromise('an input takes no second', `${Math.round(took)} ms`);
  }

  async #found(error: unknown, input: Uint8Array): Promise<void> {
    const fault = faultOf(error);
    if (this.finds.has(fault)) return;
    const { target } = this;
    let find: Find = { target: target.name, fault, error, input };
    this.finds.set(fault, find);
    const fails = async (candidate: Uint8Array): Promise<boolean> => {
      try {
        await target.run(candidate);
      } catch (again) {
        if (faultOf(again) !== fault) return false;
        find = { ...find, error: again, input: candidate };
        return true;
      }
      return false;
    };
    await minimise(input, fails);
    const stack = Error.stackTraceLimit;
    Error.stackTraceLimit = STACK;
    await fails(find.input);
    Error.stackTraceLimit = stack;
    this.finds.set(fault, find);
  }
}

function faultOf(error: unknown): string {
  if (error instanceof BrokenPromise) return error.promise;
  return String(error).replaceAll(/\d+/g, '#');
}
