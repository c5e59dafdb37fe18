import type { Command, Destination } from '../../policy/policy.ts';
import type { Address, HostPort } from '../../wire/address.ts';
import { ipOf } from '../../wire/ip.ts';
import type { Ip } from '../../wire/ip.ts';
import { destinationOf } from '../destination.ts';

/** What was asked of the rules; no destination where it is decided later (UDP ASSOCIATE, BIND for anybody). */
export interface GrantedRequest {
  readonly command: Command;
  readonly destination: Destination | undefined;
  /** Of a name; those that somebody else knows are `passed-on`. */
  readonly addresses: readonly Ip[] | 'passed-on';
}

/** What a connection was granted that is open by now. Asked about after a reload at most, it is parsed only then. */
export class DialledGrant implements GrantedRequest {
  readonly #asked: Address;
  readonly #dialled: HostPort | undefined;

  /** `dialled` is not known where a name was passed on. */
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
