import type { Candidate } from './candidates.ts';

/** The results of one run of the load generator: the numbers in its JSON. */
export type Measurement = Readonly<Record<string, number>>;

/** One line of the table. */
export interface Metric {
  readonly name: string;
  readonly unit: string;
  readonly better: 'more' | 'less';
  readonly of: (measured: Measurement) => number;
  /** Meaningless without a proxy. */
  readonly proxyOnly?: true;
}

/** A kind of load, and the metrics to read from it. */
export interface Case {
  readonly name: string;
  readonly title: string;
  /** Whether a candidate supports it. */
  readonly suits: (candidate: Candidate) => boolean;
  /** Arguments of the load generator; `fewer` divides the number of idle connections. */
  readonly load: (candidate: Candidate, fewer: number) => readonly string[];
  /**
   * Generator, target and proxy share one core: across two, waking up the other core would dominate the
   * measurement.
   */
  readonly oneCore?: true;
  readonly metrics: readonly Metric[];
}

export const CASES: readonly Case[] = [
  ...[1, 64].flatMap((connections) => [bulk(connections, 'copy'), bulk(connections, 'zero-copy')]),
  {
    name: 'rate',
    title: 'connect, request, one byte, close; 64 at a time',
    suits: () => true,
    load: () => ['rate', '--connections', '64'],
    metrics: [perSecond('connections'), cpuEach('connection')],
  },
  { ...roundTrips(1), oneCore: true },
  roundTrips(64),
  {
    name: 'idle',
    title: 'memory',
    suits: ({ idle }) => idle !== undefined,
    load: ({ idle = { from: 1, to: 2 } }, fewer) => [
      'idle',
      '--from',
      String(Math.ceil(idle.from / fewer)),
      '--connections',
      String(Math.ceil(idle.to / fewer)),
    ],
    metrics: [
      {
        name: 'per idle connection',
        unit: 'KiB',
        better: 'less',
        of: (measured) =>
          (number(measured, 'high') - number(measured, 'low')) / number(measured, 'connections') / 1024,
        proxyOnly: true,
      },
      {
        name: 'before the first',
        unit: 'MiB',
        better: 'less',
        of: (measured) => number(measured, 'base') / 2 ** 20,
        proxyOnly: true,
      },
    ],
  },
  {
    name: 'udp',
    title: 'UDP, 64 bytes, one way',
    suits: ({ hasUdp }) => hasUdp,
    load: () => ['udp'],
    metrics: [perSecond('datagrams'), cpuEach('datagram')],
  },
];

function bulk(connections: number, ends: 'copy' | 'zero-copy'): Case {
  return {
    name: `bulk-${connections}-${ends}`,
    title: `bulk, ${plural(connections)}, ${ends === 'copy' ? 'copying' : 'zero-copy'} ends`,
    suits: () => true,
    load: () => ['bulk', '--connections', String(connections), ...(ends === 'copy' ? [] : ['--zero-copy'])],
    metrics: [
      {
        name: 'throughput',
        unit: 'Gbit/s',
        better: 'more',
        of: (measured) => (number(measured, 'count') * 8) / number(measured, 'seconds') / 1e9,
      },
      {
        name: 'CPU',
        unit: 's/GB',
        better: 'less',
        of: (measured) => number(measured, 'cpu') / (number(measured, 'count') / 1e9),
        proxyOnly: true,
      },
    ],
  };
}

function roundTrips(connections: number): Case {
  return {
    name: `rtt-${connections}`,
    title: `round trip of 64 bytes, ${plural(connections)}`,
    suits: () => true,
    load: () => ['rtt', '--connections', String(connections)],
    metrics: [
      { name: 'p50', unit: 'µs', better: 'less', of: (measured) => number(measured, 'p50') },
      { name: 'p99', unit: 'µs', better: 'less', of: (measured) => number(measured, 'p99') },
      cpuEach('round trip'),
    ],
  };
}

function perSecond(what: string): Metric {
  return {
    name: what,
    unit: '/s',
    better: 'more',
    of: (measured) => number(measured, 'count') / number(measured, 'seconds'),
  };
}

function cpuEach(what: string): Metric {
  return {
    name: `CPU per ${what}`,
    unit: 'µs',
    better: 'less',
    of: (measured) => (number(measured, 'cpu') / number(measured, 'count')) * 1e6,
    proxyOnly: true,
  };
}

function number(measured: Measurement, name: string): number {
  const value = measured[name];
  if (value === undefined) throw new Error(`the load generator's result has no ${name}`);
  return value;
}

function plural(connections: number): string {
  return connections === 1 ? '1 connection' : `${connections} connections`;
}
