import type { Service } from './message.ts';
import { canonicalName } from './name.ts';

/** The servers of a service; the caller may cache them for `ttl` milliseconds. */
export interface Services {
  /** The best ones: by priority, then by weight, heaviest first. */
  readonly services: readonly Service[];
  readonly ttl: number;
}

/** Servers used from one answer. */
const MAX_SERVICES = 32;

/**
 * The usable records of an answer, with canonical targets; `undefined` if there are none. A target `.` means
 * that the service is not available, but only as the sole record (RFC 2782).
 */
export function servicesOf(records: readonly Service[]): readonly Service[] | undefined {
  if (records.length === 1 && records[0]!.target === '.') return [];
  const usable = records.flatMap(withTarget).toSorted(inOrder).slice(0, MAX_SERVICES);
  return usable.length > 0 ? usable : undefined;
}

function withTarget(record: Service): readonly Service[] {
  const target = canonicalName(record.target);
  return target === undefined ? [] : [{ ...record, target }];
}

/** Name servers return records in any order; names break ties, so that the same ones are used each time. */
function inOrder(a: Service, b: Service): number {
  return (
    a.priority - b.priority ||
    b.weight - a.weight ||
    (a.target === b.target ? a.port - b.port : a.target < b.target ? -1 : 1)
  );
}
