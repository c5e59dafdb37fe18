import type { Service } from './message.ts';
import { canonicalName } from './name.ts';

/** The servers of a service, for the caller to keep as long as `ttl` says, in milliseconds. */
export interface Services {
  /** The best ones: by priority, and of the same one the heaviest first. */
  readonly services: readonly Service[];
  readonly ttl: number;
}

/** Servers of one answer that are used. */
const MAX_SERVICES = 32;

/**
 * What of an answer can be used, each target as it is resolved; `undefined` where nothing can. A target `.` says that there is
 * no such service, and only when it is the only one (RFC 2782).
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

/** Name servers send records in any order; the names decide among equals, so that the same ones are used each time. */
function inOrder(a: Service, b: Service): number {
  return (
    a.priority - b.priority ||
    b.weight - a.weight ||
    (a.target === b.target ? a.port - b.port : a.target < b.target ? -1 : 1)
  );
}
