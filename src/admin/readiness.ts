import type { ServerStatus } from '../server/server.ts';

export interface Readiness {
  /** Whether new clients should be sent here. */
  readonly ready: boolean;
  /** The faults, one line each. */
  readonly faults: readonly string[];
}

export function readinessOf({ workers, ending, log }: ServerStatus): Readiness {
  const short = workers.filter(({ cap, fault }) => cap !== Infinity && fault === undefined);
  const cap = short.reduce((sum, one) => sum + one.cap, 0);
  const faults = [
    ...(ending ? ['shutting down: no new connections'] : []),
    ...(short.length === 0 ? [] : [`memory is short: at most ${cap} connections`]),
    ...workers.flatMap(({ fault }) => fault ?? []),
    ...(log.fault === undefined ? [] : [`the log cannot be written: ${log.fault}; ${log.lost} lines lost`]),
  ];
  // Even without its log, garter serves.
  return { ready: !ending && workers.some((one) => one.open < one.cap), faults };
}
