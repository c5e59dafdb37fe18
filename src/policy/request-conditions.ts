import type { Ip } from '../wire/ip.ts';
import type { AddressSet } from './addresses.ts';
import { parseCondition } from './conditions.ts';
import type { Condition } from './conditions.ts';
import { DestinationMatcher, SourceMatcher } from './matchers.ts';
import type { Facts, RequestConditionOptions, LocalAddresses } from './policy.ts';
import { PortSet } from './ports.ts';
import { TimeWindow } from './window.ts';

const FACT_CONDITIONS = ['command', 'listener', 'protocol', 'source-port', 'from', 'user', 'when'] as const;
/** A condition that does not depend on the destination, by its key; in rules, `command` is that of `allow`. */
export type FactCondition = (typeof FACT_CONDITIONS)[number];

/** The conditions of a rule or a route on a request, compiled. */
export class RequestConditions {
  readonly options: RequestConditionOptions;
  readonly to: DestinationMatcher;
  readonly #from: SourceMatcher | undefined;
  readonly #users: ReadonlySet<string> | undefined;
  readonly #ports: PortSet | undefined;
  readonly #sourcePorts: PortSet | undefined;
  readonly #when: TimeWindow | undefined;

  /** `special`: addresses that match only where they are named. @default none: `any` matches everything */
  constructor(options: RequestConditionOptions, special?: AddressSet) {
    this.options = options;
    this.to = new DestinationMatcher(conditionsOf(options, options.to), special);
    this.#from = options.from && sourcesOf(options, options.from);
    this.#users = options.user && new Set(options.user);
    this.#ports = options.port && new PortSet(options.port);
    this.#sourcePorts = options.sourcePort && new PortSet(options.sourcePort);
    this.#when = options.when && new TimeWindow(options.when);
  }

  /**
   * True when all conditions except those on the destination hold. `client` is the address as rules compare
   * it.
   */
  isFor(facts: Facts, client: Ip, surroundings: LocalAddresses): boolean {
    const { commands, listener, protocol } = this.options;
    return (
      (commands === undefined || commands.includes(facts.command)) &&
      (listener === undefined || listener.includes(facts.listener)) &&
      (protocol === undefined || protocol.includes(facts.protocol)) &&
      (this.#sourcePorts === undefined || this.#sourcePorts.has(facts.sourcePort)) &&
      (this.#from === undefined || this.#from.has(client, surroundings)) &&
      (this.#users === undefined || isAmong(this.#users, facts)) &&
      (this.#when === undefined || this.#when.has(facts.time))
    );
  }

  /** The conditions that keep `isFor` from being true, by their keys. */
  unmet(facts: Facts, client: Ip, surroundings: LocalAddresses): FactCondition[] {
    const { commands, listener, protocol } = this.options;
    const holds: Readonly<Record<FactCondition, boolean>> = {
      command: commands?.includes(facts.command) ?? true,
      listener: listener?.includes(facts.listener) ?? true,
      protocol: protocol?.includes(facts.protocol) ?? true,
      'source-port': this.#sourcePorts?.has(facts.sourcePort) ?? true,
      from: this.#from?.has(client, surroundings) ?? true,
      user: this.#users === undefined || isAmong(this.#users, facts),
      when: this.#when?.has(facts.time) ?? true,
    };
    return FACT_CONDITIONS.filter((condition) => !holds[condition]);
  }

  hasPort(port: number): boolean {
    return this.#ports === undefined || this.#ports.has(port);
  }

  /**
   * True when they hold for every destination. Only valid where no address is special; otherwise `any` does
   * not match everything.
   */
  get coversAll(): boolean {
    return this.to.any && (this.#ports === undefined || this.#ports.covers(ALL_PORTS));
  }
}

/** The server refuses port 0 itself. */
const ALL_PORTS = { first: 1, last: 65_535 };

type Named = Pick<RequestConditionOptions, 'name'>;

function conditionsOf({ name }: Named, texts: readonly string[]): Condition[] {
  return texts.map((text) => {
    const condition = parseCondition(text);
    if (condition === undefined) throw new TypeError(`${name}: ${text} is not a condition`);
    return condition;
  });
}

/** Compiles a `from`. Throws a TypeError for an invalid entry. */
export function sourcesOf(owner: Named, texts: readonly string[]): SourceMatcher {
  const conditions = conditionsOf(owner, texts);
  const name = conditions.find((condition) => condition.type === 'name');
  if (name !== undefined) throw new TypeError(`${owner.name}: a client has no name such as ${name.name}`);
  return new SourceMatcher(conditions);
}

function isAmong(users: ReadonlySet<string>, { user, groups }: Facts): boolean {
  return (user !== undefined && users.has(user)) || groups.some((group) => users.has(`@${group}`));
}
