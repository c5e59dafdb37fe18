/** How many reasons are counted separately. */
const REASONS = 24;

type Reason = 'stranger' | 'malformed' | 'refused' | 'limit' | 'unasked' | 'overflow' | 'bandwidth';
type Counts = Record<Reason, number> & { [code: string]: number };

/** The datagrams of one association that went nowhere. */
export class Drops {
  /** By reason: one of these, or the code of what failed, ICMP errors too where the engine sees them. */
  readonly counts: Counts = {
    stranger: 0,
    malformed: 0,
    refused: 0,
    /** By a limit of a rule. */
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

  /** Counts one. Of codes there are few, unless somebody far away makes them up. */
  add(why: string): void {
    const isNew = this.counts[why] === undefined && Object.keys(this.counts).length >= REASONS;
    const reason = isNew ? 'other' : why;
    this.counts[reason] = (this.counts[reason] ?? 0) + 1;
  }
}
