import type { Pace } from '../../net/engine.ts';
import { Shaper } from '../../net/shaper.ts';
import { Bandwidth } from '../../limits/bandwidth.ts';
import type { Policy } from '../../policy/compile.ts';
import type { Limits } from '../../limits/limits.ts';
import type { RuleOptions } from '../../policy/policy.ts';
import { monotonic } from '../clock.ts';

/** The bandwidth of a session in one direction; `undefined` = no limit. */
type Flow =
  | {
      readonly own: Bandwidth | undefined;
      /** Shared with the rule's other sessions. */
      readonly shaper: Shaper;
    }
  | undefined;

export interface Flows {
  readonly send: Flow;
  readonly receive: Flow;
}

/**
 * The bandwidths that the sessions of a rule share. Rules are identified by name, so a bandwidth outlives a
 * reload.
 */
export class Bandwidths {
  readonly #limits: Limits;
  readonly #shared = new Map<string, { readonly send: Shaper; readonly receive: Shaper }>();
  /** For sessions that have only a limit of their own. */
  readonly #unlimited = new Shaper(new Bandwidth(Infinity), monotonic);
  /** The rates of the rules in force. */
  #rates: ReadonlyMap<string, number | undefined> = new Map();

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  /** For a new session. The rule that allowed it may predate the last reload. */
  flows({ name, limit = {} }: RuleOptions): Flows {
    const { bandwidth, bandwidthPerSession } = limit;
    if (bandwidth === undefined && bandwidthPerSession === undefined) return UNLIMITED;
    const shared = bandwidth === undefined ? undefined : this.#of(name);
    const flow = (shaper: Shaper = this.#unlimited): Flow => ({
      own: bandwidthPerSession === undefined ? undefined : new Bandwidth(bandwidthPerSession),
      shaper,
    });
    return { send: flow(shared?.send), receive: flow(shared?.receive) };
  }

  /**
   * Applies new rules: bandwidths in use change their rate. A rule that has lost its limit limits no one
   * until it has one again.
   */
  use({ rules }: Policy): void {
    this.#rates = new Map(rules.map(({ options }) => [options.name, options.limit?.bandwidth]));
    for (const [name, { send, receive }] of this.#shared) {
      const rate = this.#rates.get(name) ?? Infinity;
      send.use(rate);
      receive.use(rate);
    }
  }

  /** For a thread that dies: drops those that wait here. */
  forgetAll(): void {
    for (const { send, receive } of this.#shared.values()) {
      send.abandon();
      receive.abandon();
    }
  }

  #of(name: string): { readonly send: Shaper; readonly receive: Shaper } {
    let shared = this.#shared.get(name);
    if (shared === undefined) {
      const rate = this.#rates.get(name) ?? Infinity;
      const shaper = (direction: 'send' | 'receive'): Shaper => {
        const [all, datagrams] = [direction, `${direction}-udp`].map((of) => this.#limits.meter(of, name));
        return new Shaper(new Bandwidth(rate, all, datagrams), monotonic);
      };
      shared = { send: shaper('send'), receive: shaper('receive') };
      this.#shared.set(name, shared);
    }
    return shared;
  }
}

const UNLIMITED: Flows = { send: undefined, receive: undefined };

/** For a stream, which waits for its turn. */
export function paceOf(flow: Flow): Pace | undefined {
  return flow?.shaper.pace(flow.own);
}

/** Whether a datagram, which does not wait, fits; if so, it is counted. */
export function admitsDatagram(flow: Flow, bytes: number): boolean {
  if (flow === undefined) return true;
  const now = monotonic();
  if (!isFree(flow, now)) return false;
  pass(flow, bytes, now);
  return true;
}

/** The same for several flows that apply at once. */
export function admitsByAll(flows: readonly Flow[], bytes: number): boolean {
  const now = monotonic();
  if (!flows.every((flow) => isFree(flow, now))) return false;
  for (const flow of flows) pass(flow, bytes, now);
  return true;
}

function isFree(flow: Flow, now: number): boolean {
  return flow === undefined || (flow.own?.isFree(now) !== false && flow.shaper.bandwidth.isFree(now));
}

function pass(flow: Flow, bytes: number, now: number): void {
  flow?.own?.pass(bytes, now);
  flow?.shaper.bandwidth.pass(bytes, now);
}
