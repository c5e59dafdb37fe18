import type { End, EndDetail } from '../../audit/record.ts';
import type { RelayEnd } from '../../net/engine.ts';
import type { RuleOptions } from '../../policy/policy.ts';

/** Bytes relayed so far, by a relay or an association. */
export interface Counters {
  readonly sent: number;
  readonly received: number;
  /** Bytes currently buffered for the peers, approximately. @default 0 */
  readonly held?: number;
  /** The rules that an association has used. */
  readonly used?: readonly RuleOptions[];
  /** Releases an association's leases on their limits. */
  readonly release?: () => void;
  /** Datagrams that were dropped. */
  readonly dropped?: string | undefined;
}

/**
 * For a session that is allowed piece by piece, such as an association: asks the rules again. `revoked` is
 * the reason if the session as a whole must end; returns whether `revoke: keep` still protects a part of it.
 */
export type Recheck = (revoked: EndDetail | undefined) => boolean;

export const NOTHING: Counters = { sent: 0, received: 0 };

/** The end of a relay, for the record. */
export function endOf({ by, error }: RelayEnd): End {
  switch (by) {
    case 'client':
    case 'target':
      return error === undefined
        ? { by, phase: 'relay' }
        : { by, phase: 'relay', detail: error as EndDetail };
    case 'idle':
    case 'half-close':
      return { by: 'timeout', phase: 'relay', detail: by };
    case 'duration':
      return { by: 'limit', phase: 'relay', detail: by };
    case 'abort':
      return { by: 'admin', phase: 'relay' };
    default:
      return by satisfies never;
  }
}
