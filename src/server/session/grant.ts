import type { Command, Destination } from '../../policy/policy.ts';
import type { Address, HostPort } from '../../wire/address.ts';
import { ipOf } from '../../wire/ip.ts';
import type { Ip } from '../../wire/ip.ts';
import { destinationOf } from '../destination.ts';

/**
 * The request that the rules allowed; without a destination where that is decided later (UDP ASSOCIATE, BIND
 * for any peer).
 */
export interface GrantedRequest {
  readonly command: Command;
  readonly destination: Destination | undefined;
  /** Those of a name; `passed-on` when they are resolved elsewhere. */
  readonly addresses: readonly Ip[] | 'passed-on';
}

/** The grant of an open connection. It is parsed only when needed, at most after a reload. */
export class DialledGrant implements GrantedRequest {
  readonly #asked: Address;
  readonly #dialled: HostPort | undefined;

  /** `dialled` is unknown for a name that was passed on. */
  constructor(asked: Address, dialled: HostPort | undefined) {
    this.#asked = asked;
    this.#dialled = dialled;
  }

  get command(): Command {
    return 'connect';
  }

  get destination(): Destination {
    return destinationOf(this.#asked);
  }

  get addresses(): readonly Ip[] | 'passed-on' {
    return this.#dialled === undefined ? 'passed-on' : [ipOf(this.#dialled.host)!];
  }
}
