import { DIRECT } from './candidates.ts';
import type { Case, Measurement, Metric } from './cases.ts';

/** The measurements of one candidate in one case. */
export interface Run {
  readonly case: Case;
  readonly candidate: string;
  readonly measured: Measurement;
}

/** One metric of one case over all rounds, keyed by candidate. */
export interface Row {
  readonly case: string;
  readonly metric: string;
  readonly title: string;
  readonly unit: string;
  readonly better: Metric['better'];
  /** In the order of the rounds, without failed ones. */
  readonly values: Readonly<Record<string, readonly number[]>>;
  readonly medians: Readonly<Record<string, number>>;
  /** The median of the first garter divided by that of each candidate. */
  readonly ratios: Readonly<Record<string, number>>;
}

export function summarize(runs: readonly Run[], first: string | undefined): readonly Row[] {
  const cases = new Set(runs.map((run) => run.case));
  return [...cases].flatMap((one) =>
    one.metrics.map((metric) => {
      const values: Record<string, number[]> = {};
      for (const run of runs) {
        if (run.case !== one || !metricsOf(one, run.candidate).includes(metric)) continue;
        (values[run.candidate] ??= []).push(metric.of(run.measured));
      }
      const medians = mapValues(values, median);
      const own = first === undefined ? undefined : medians[first];
      return {
        case: one.name,
        metric: metric.name,
        title: `${one.title}: ${metric.name}`,
        unit: metric.unit,
        better: metric.better,
        values,
        medians,
        ratios: own === undefined ? {} : mapValues(medians, (other) => own / other),
      };
    }),
  );
}

/** Without a proxy there is no CPU time or memory to measure. */
export function metricsOf(one: Case, candidate: string): readonly Metric[] {
  return one.metrics.filter((metric) => candidate !== DIRECT.name || !metric.proxyOnly);
}

/** A Markdown table with aligned columns. `~` marks rounds that differ by more than 15 % of their median. */
export function formatTable(
  rows: readonly Row[],
  candidates: readonly string[],
  first: string | undefined,
): string {
  const compared =
    first === undefined ? [] : candidates.filter((name) => name !== DIRECT.name && name !== first);
  const lines = [
    ['', '', ...candidates, ...compared.map((name) => `${first} / ${name}`)],
    ...rows.map((row) => [
      row.title,
      `${row.unit} ${row.better === 'more' ? '↑' : '↓'}`,
      ...candidates.map((name) => cell(row.medians[name], row.values[name] ?? [])),
      ...compared.map((name) => row.ratios[name]?.toFixed(2) ?? ''),
    ]),
  ];
  const widthOf = (column: number): number => Math.max(2, ...lines.map((line) => line[column]?.length ?? 0));
  const aligned = lines.map((line) => line.map((text, column) => pad(text, column, widthOf(column))));
  const rule = aligned[0]?.map(({ length }, column) =>
    column < 2 ? '-'.repeat(length) : `${'-'.repeat(length - 1)}:`,
  );
  return [aligned[0], rule, ...aligned.slice(1)].map((cells = []) => `| ${cells.join(' | ')} |`).join('\n');
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = Math.floor(sorted.length / 2);
  const upper = sorted[half] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[half - 1] ?? Number.NaN) + upper) / 2;
}

/** Three significant digits, more than the noise justifies. */
export function digits(value: number): string {
  return value.toLocaleString('en', { maximumSignificantDigits: 3 });
}

function cell(middle: number | undefined, values: readonly number[]): string {
  if (middle === undefined) return '';
  const spread = Math.max(...values) - Math.min(...values);
  return `${digits(middle)}${spread > Math.abs(middle) * 0.15 ? '~' : ''}`;
}

function pad(text: string, column: number, width: number): string {
  return column < 2 ? text.padEnd(width) : text.padStart(width);
}

function mapValues<A, B>(object: Readonly<Record<string, A>>, map: (value: A) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, map(value)]));
}
