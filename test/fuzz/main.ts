import { parseArgs } from 'node:util';
import { readCorpus, writeCorpus, writeFind } from './corpus.ts';
import { CoverageReader } from './coverage.ts';
import { Fuzzer } from './fuzzer.ts';
import type { Find } from './fuzzer.ts';
import { Random } from './random.ts';
import { loadTargets } from './targets.ts';
import { Watchdog } from './watchdog.ts';

const HELP = `node test/fuzz/main.ts [--for TIME] [--only TARGET]... [--seed NUMBER] [--finds FOLDER]

Fuzzes all targets, or those named, by turns of up to a minute.

  --for TIME      how long in all: 90s, 10m, 8h [10m]
  --only TARGET   one of the targets; may be repeated
  --seed NUMBER   begin with the same random numbers again
  --finds FOLDER  where inputs go that break a promise [finds]

New inputs are added to test/fuzz/corpus. Ctrl-C ends it in order. Exit codes: 0 no finds, 1 finds.
`;

const ROUND = 60_000;
const HEADINGS = ['target', 'runs', 'corpus', 'covered', 'finds', 'runs/s', 'heap'];
const told = new Set<Find>();
const UNITS = { s: 1000, m: 60_000, h: 3_600_000 } as const;

const { values } = parseArgs({
  options: {
    for: { type: 'string', default: '10m' },
    only: { type: 'string', multiple: true },
    seed: { type: 'string', default: String(Date.now() % 2 ** 32) },
    finds: { type: 'string', default: 'finds' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) process.stdout.write(HELP);
else await run();

async function run(): Promise<void> {
  using reader = new CoverageReader();
  await using watchdog = new Watchdog(values.finds);
  const all = await loadTargets();
  const { only = all.map(({ name }) => name) } = values;
  const unknown = only.filter((name) => !all.some((target) => target.name === name));
  if (unknown.length > 0) {
    const names = all.map(({ name }) => name).join(', ');
    process.stderr.write(`there is no target ${unknown.join(', ')}; there are ${names}\n`);
    process.exitCode = 2;
    return;
  }
  const fuzzers = all
    .filter(({ name }) => only.includes(name))
    .map((target) => {
      const watch = (input: Uint8Array): void => watchdog.see(target.name, input);
      return new Fuzzer(target, reader, new Random(Number(values.seed)), watch);
    });

  const interrupt = new AbortController();
  process.once('SIGINT', () => interrupt.abort());
  const time = durationOf(values.for);
  const turn = Math.min(ROUND, time / fuzzers.length);
  const end = performance.now() + time;
  process.stdout.write(`seed ${values.seed}, ${fuzzers.length} targets, ${values.for}\n${row(HEADINGS)}\n`);
  for (const fuzzer of fuzzers)
    await fuzzer.adopt([...fuzzer.target.seeds, ...readCorpus(fuzzer.target.name)]);
  while (!interrupt.signal.aborted && performance.now() < end) {
    for (const fuzzer of fuzzers) {
      const turnEnd = Math.min(performance.now() + turn, end);
      const isOver = (): boolean => interrupt.signal.aborted || performance.now() >= turnEnd;
      if (!isOver()) await takeTurn(fuzzer, isOver);
    }
  }
  process.stdout.write(`in all:\n${row(HEADINGS)}\n`);
  for (const fuzzer of fuzzers) process.stdout.write(`${row(stateOf(fuzzer))}\n`);
  if (fuzzers.some(({ finds }) => finds.size > 0)) process.exitCode = 1;
}

async function takeTurn(fuzzer: Fuzzer, isOver: () => boolean): Promise<void> {
  const { runs } = fuzzer;
  const start = performance.now();
  const heap = process.memoryUsage().heapUsed;
  await fuzzer.fuzz(isOver);
  const took = performance.now() - start;
  const grown = process.memoryUsage().heapUsed - heap;
  const rate = Math.round(((fuzzer.runs - runs) / took) * 1000);
  await fuzzer.distil();
  writeCorpus(fuzzer.target.name, fuzzer.corpus);
  process.stdout.write(`${row([...stateOf(fuzzer), rate, `${(grown / 2 ** 20).toFixed(1)} MiB`])}\n`);
  for (const find of fuzzer.finds.values()) {
    if (!told.has(find)) process.stdout.write(`FIND ${find.fault}: ${writeFind(values.finds, find)}\n`);
    told.add(find);
  }
}

function stateOf({ target, runs, corpus, covered, finds }: Fuzzer): (string | number)[] {
  return [target.name, runs, corpus.length, covered, finds.size];
}

function row([name, ...cells]: readonly (string | number)[]): string {
  return [String(name).padEnd(22), ...cells.map((cell) => String(cell).padStart(11))].join('');
}

function durationOf(text: string): number {
  const [, number, unit] = /^(\d+)([smh])$/.exec(text) ?? [];
  if (number === undefined) throw new RangeError(`${text} is no time such as 90s, 10m or 8h`);
  return Number(number) * UNITS[unit as keyof typeof UNITS];
}
