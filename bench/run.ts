/** Compares garter with other SOCKS servers. docs/performance.md says how; `npm run bench -- --help`, what can be chosen. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { promisify } from 'node:util';
import type { Candidate } from './candidates.ts';
import type { Case, Measurement } from './cases.ts';
import { describeMachine } from './machine.ts';
import { HELP, parsePlan } from './plan.ts';
import type { Plan } from './plan.ts';
import { start } from './proxy.ts';
import type { Proxy } from './proxy.ts';
import { digits, formatTable, metricsOf, summarize } from './table.ts';
import type { Run } from './table.ts';

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
/** Milliseconds in which the load generator must be done, besides the times that it is given. */
const OVERHEAD = 90_000;
/** From this load average on, other programs are in the way. */
const BUSY = 0.5;

const execute = promisify(execFile);

async function main(): Promise<void> {
  const plan = parsePlan(process.argv.slice(2));
  if (plan === undefined) {
    console.log(HELP);
    return;
  }
  const machine = describeMachine(plan.candidates);
  if (machine.load > BUSY) {
    progress(
      `other programs use this machine (load ${machine.load.toFixed(1)}): trust CPU and ratios, not rates`,
    );
  }
  const interrupt = new AbortController();
  process.once('SIGINT', () => interrupt.abort());
  process.once('SIGTERM', () => interrupt.abort());
  const scratch = mkdtempSync(join(tmpdir(), 'garter-bench-'));
  try {
    const { runs, failures } = await runAll(plan, scratch, interrupt.signal);
    const rows = summarize(runs, plan.first);
    const { rounds, warmUp, seconds, rest } = plan;
    const report = { date: new Date().toISOString(), machine, rounds, warmUp, seconds, rest, rows, failures };
    writeFileSync(plan.json, `${JSON.stringify(report, undefined, 2)}\n`);
    console.log(
      formatTable(
        rows,
        plan.candidates.map(({ name }) => name),
        plan.first,
      ),
    );
    progress(
      `${runs.length} runs, ${failures.length} failed; every figure is in ${relative('.', plan.json)}`,
    );
    if (failures.length > 0) process.exitCode = 1;
  } catch (error) {
    if (!interrupt.signal.aborted) throw error;
    process.exitCode = 130;
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

/** Case by case, so that what is compared ran within seconds; each round begins with another candidate. */
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
          const message = error instanceof Error ? error.message : String(error);
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
  const cpu = one.oneCore ? plan.proxyCpu : plan.generatorCpu;
  const words = [
    '--cpu-list',
    String(cpu),
    LOAD,
    ...one.load(candidate, plan.fewer),
    ...timing(plan),
    ...address(proxy),
  ];
  const timeout = OVERHEAD + (plan.warmUp + plan.seconds + 2 * plan.rest) * 1000;
  const { stdout } = await execute('taskset', words, { timeout, signal });
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

function progress(text: string): void {
  console.error(`bench: ${text}`);
}

await main();
