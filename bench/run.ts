/**
 * Compares garter with other SOCKS servers. docs/performance.md describes the method; for the options, see
 * `npm run bench -- --help`.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { promisify } from 'node:util';
import type { Candidate } from './candidates.ts';
import type { Case, Measurement } from './cases.ts';
import { describeMachine } from './machine.ts';
import type { Machine } from './machine.ts';
import { HELP, parsePlan } from './plan.ts';
import type { Plan } from './plan.ts';
import { pinned, start } from './proxy.ts';
import type { Proxy } from './proxy.ts';
import { digits, formatTable, metricsOf, summarize } from './table.ts';
import type { Row, Run } from './table.ts';

interface Failure {
  readonly round: number;
  readonly case: string;
  readonly candidate: string;
  readonly message: string;
}

interface Results {
  readonly runs: readonly Run[];
  readonly failures: readonly Failure[];
}

const LOAD = resolve(import.meta.dirname, 'out/load');
/** Milliseconds allowed for the load generator in addition to its configured times. */
const OVERHEAD = 90_000;
/** Load average from which other programs would distort the results. */
const BUSY = 0.5;

const execute = promisify(execFile);

async function main(args: readonly string[]): Promise<number> {
  const plan = parsePlan(args);
  if (plan === undefined) {
    console.log(HELP);
    return 0;
  }
  const machine = describeMachine(plan.candidates);
  if (machine.load > BUSY) {
    progress(`the machine is busy (load ${machine.load.toFixed(1)}): trust CPU and ratios, not rates`);
  }
  const interrupt = new AbortController();
  process.once('SIGINT', () => interrupt.abort());
  process.once('SIGTERM', () => interrupt.abort());
  const scratch = mkdtempSync(join(tmpdir(), 'garter-bench-'));
  try {
    const { runs, failures } = await runAll(plan, scratch, interrupt.signal);
    const rows = summarize(runs, plan.first);
    writeFileSync(plan.json, report(plan, machine, rows, { runs, failures }));
    const names = plan.candidates.map(({ name }) => name);
    console.log(formatTable(rows, names, plan.first));
    progress(`${runs.length} runs, ${failures.length} failed; more in ${relative('.', plan.json)}`);
    return failures.length === 0 ? 0 : 1;
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

function report(plan: Plan, machine: Machine, rows: readonly Row[], { runs, failures }: Results): string {
  const { rounds, warmUp, seconds, rest } = plan;
  const raw = runs.map(({ case: { name }, candidate, measured }) => ({ case: name, candidate, ...measured }));
  const whole = {
    date: new Date().toISOString(),
    machine,
    rounds,
    warmUp,
    seconds,
    rest,
    rows,
    failures,
    runs: raw,
  };
  return `${JSON.stringify(whole, undefined, 2)}\n`;
}

/**
 * Case by case, so that runs to be compared are only seconds apart; each round begins with another candidate.
 */
async function runAll(plan: Plan, scratch: string, signal: AbortSignal): Promise<Results> {
  const runs: Run[] = [];
  const failures: Failure[] = [];
  for (let round = 1; round <= plan.rounds; round++) {
    for (const one of plan.cases) {
      for (const candidate of rotate(plan.candidates, round - 1)) {
        if (!one.suits(candidate)) continue;
        const label = `round ${round} of ${plan.rounds}, ${one.name}, ${candidate.name}`;
        try {
          const measured = await runOne(plan, one, candidate, scratch, signal);
          runs.push({ case: one, candidate: candidate.name, measured });
          const figures = metricsOf(one, candidate.name).map(
            ({ of, unit }) => `${digits(of(measured))} ${unit}`,
          );
          progress(`${label}: ${figures.join(', ')}`);
        } catch (error) {
          if (signal.aborted) throw error;
          const message = messageOf(error);
          failures.push({ round, case: one.name, candidate: candidate.name, message });
          progress(`${label}: FAILED: ${message}`);
        }
      }
    }
  }
  return { runs, failures };
}

async function runOne(
  plan: Plan,
  one: Case,
  candidate: Candidate,
  scratch: string,
  signal: AbortSignal,
): Promise<Measurement> {
  await using proxy = await start(candidate, plan.proxyCpu, scratch);
  const load = [LOAD, ...one.load(candidate, plan.fewer), ...timing(plan), ...address(proxy)];
  const [program, ...words] = pinned(one.oneCore ? plan.proxyCpu : plan.generatorCpu, load);
  const timeout = OVERHEAD + (plan.warmUp + plan.seconds + 3 * plan.rest) * 1000;
  const { stdout } = await execute(program, words, { timeout, signal });
  return parseMeasurement(stdout);
}

function timing(plan: Plan): readonly string[] {
  return ['--warm-up', String(plan.warmUp), '--seconds', String(plan.seconds), '--rest', String(plan.rest)];
}

function address(proxy: Proxy | undefined): readonly string[] {
  return proxy === undefined ? [] : ['--proxy', String(proxy.port), '--session', String(proxy.session)];
}

function parseMeasurement(text: string): Measurement {
  const fields: unknown = JSON.parse(text);
  const numbers = Object.entries(fields ?? {}).map(([name, value]: [string, unknown]): [string, number] => {
    if (typeof value !== 'number') throw new Error(`the load generator's ${name} is no number: ${text}`);
    return [name, value];
  });
  return Object.fromEntries(numbers);
}

function rotate<T>(list: readonly T[], by: number): readonly T[] {
  const at = by % list.length;
  return [...list.slice(at), ...list.slice(0, at)];
}

/** The last line of output: for a failed program, its own message. */
function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.trimEnd().split('\n').at(-1) ?? text;
}

function progress(text: string): void {
  console.error(`bench: ${text}`);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  progress(messageOf(error));
  process.exitCode = 2;
}
