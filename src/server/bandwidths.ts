import type { Pace } from '../net/engine.ts';
import { Bandwidth } from '../policy/bandwidth.ts';
import type { Policy } from '../policy/compile.ts';
import type { Limits } from '../policy/limits.ts';
import type { RuleOptions } from '../policy/policy.ts';
import { monotonic } from './clock.ts';

/** What a session may use in each direction: its own bandwidth, and the one it shares with the others of its rule. */
export interface Flows {
  readonly send: readonly Bandwidth[];
  readonly receive: readonly Bandwidth[];
}

/** The bandwidths that the sessions of a rule share. Rules are told apart by name, so that they outlive a reload. */
export class Bandwidths {
  readonly #limits: Limits;
  readonly #shared = new Map<string, { readonly send: Bandwidth; readonly receive: Bandwidth }>();

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  /** For a new session. */
  flows({ name, limit = {} }: RuleOptions): Flows {
    if (limit.bandwidth === undefined && limit.bandwidthPerSession === undefined) return UNLIMITED;
    const send: Bandwidth[] = [];
    const receive: Bandwidth[] = [];
    if (limit.bandwidthPerSession !== undefined) {
      send.push(new Bandwidth(limit.bandwidthPerSession));
      receive.push(new Bandwidth(limit.bandwidthPerSession));
    }
    if (limit.bandwidth !== undefined) {
      const shared = this.#of(name, limit.bandwidth);
      send.push(shared.send);
      receive.push(shared.receive);
    }
    return { send, receive };
  }

  /** New rules: what sessions already share changes its rate. Without a limit it limits nobody, until there is one again. */
  use({ rules }: Policy): void {
    const rates = new Map(rules.map(({ options }) => [options.name, options.limit?.bandwidth]));
    for (const [name, { send, receive }] of this.#shared) {
      const rate = rates.get(name) ?? Infinity;
      send.rate = rate;
      receive.rate = rate;
    }
  }

  #of(name: string, rate: number): { readonly send: Bandwidth; readonly receive: Bandwidth } {
    let shared = this.#shared.get(name);
    if (shared === undefined) {
      shared = {
        send: new Bandwidth(rate, this.#limits.meter('send', name)),
        receive: new Bandwidth(rate, this.#limits.meter('receive', name)),
      };
      this.#shared.set(name, shared);
    }
    return shared;
  }
}

const UNLIMITED: Flows = { send: [], receive: [] };

/** For a stream: it waits for the slowest. */
export function paceOf(bandwidths: readonly Bandwidth[]): Pace | undefined {
  if (bandwidths.length === 0) return undefined;
  return (bytes) => {
    const now = monotonic();
    let wait = 0;
    for (const bandwidth of bandwidths) wait = Math.max(wait, bandwidth.spend(bytes, now));
    return wait;
  };
}

/** For a datagram, which does not wait: whether it may pass; if so, it is counted. */
export function admitsDatagram(bandwidths: readonly Bandwidth[], bytes: number): boolean {
  if (bandwidths.length === 0) return true;
  const now = monotonic();
  for (const bandwidth of bandwidths) if (!bandwidth.isFree(now)) return false;
  for (const bandwidth of bandwidths) bandwidth.spend(bytes, now);
  return true;
}
