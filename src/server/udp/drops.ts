/** Reasons that are counted separately. */
const REASONS = 24;

type Reason = 'stranger' | 'malformed' | 'refused' | 'limit' | 'unasked' | 'overflow' | 'bandwidth';
type Counts = Record<Reason, number> & { [code: string]: number };

/** The dropped datagrams of one association. */
export class Drops {
  /** By reason: one of these, or an error code, including ICMP errors where the engine receives them. */
  readonly counts: Counts = {
    stranger: 0,
    malformed: 0,
    refused: 0,
    /** Refused by a limit of a rule. */
    limit: 0,
    unasked: 0,
    overflow: 0,
    bandwidth: 0,
  };

  /** As records show it: `ENETUNREACH:2,refused:1`; `undefined` when there are none. */
  get text(): string | undefined {
    const counted = Object.entries(this.counts).filter(([, count]) => count > 0);
    return counted.length === 0 ? undefined : counted.map(([why, count]) => `${why}:${count}`).join(',');
  }

  /** Counts one. There are few codes, unless a remote peer makes them up. */
  add(why: string): void {
    const isNew = this.counts[why] === undefined && Object.keys(this.counts).length >= REASONS;
    const reason = isNew ? 'other' : why;
    this.counts[reason] = (this.counts[reason] ?? 0) + 1;
  }
}
