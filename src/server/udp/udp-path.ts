import type { Peer, UdpSocket } from '../../net/engine.ts';
import type { Permit } from '../../policy/decide.ts';
import type { Destination } from '../../policy/policy.ts';
import { formatIp, parseIp } from '../../wire/ip.ts';
import type { Ip } from '../../wire/ip.ts';
import type { Share } from './shares.ts';

/** Where datagrams for one destination go to. */
export interface UdpPath {
  readonly socket: UdpSocket;
  readonly peer: Peer;
  /** What upstreams want in front of the data. */
  readonly header: Uint8Array | undefined;
  /** Where it leads to; not known of a name that is passed on. */
  readonly ip: Ip | undefined;
  /** Who may answer; of those who do so directly the key. */
  readonly answers: string;
}

/** A destination that the rules allow. An association has thousands: what can be told from something else is not kept. */
export class Allowed {
  readonly state = 'allowed';
  readonly socket: UdpSocket;
  readonly peer: Peer;
  readonly header: Uint8Array | undefined;
  readonly answers: string;
  /** Of the rule that allows it. */
  share: Share;
  /** What its answers carry, once there has been one. */
  answerHeader: Uint8Array | undefined = undefined;
  /** Its answers cannot be told from those of a destination that another rule allows. */
  isMixed = false;
  /** By `revoke: keep` of the rule as it was when that allowed it. */
  isKept: boolean;
  /** Milliseconds, without a fraction: that would take an object of its own. */
  usedAt: number;
  readonly #name: string | undefined;
  /** Not known of a name that is passed on. */
  readonly #host: string | undefined;
  readonly #port: number;

  constructor({ destination, rule }: Permit, path: UdpPath, share: Share) {
    this.socket = path.socket;
    this.peer = path.peer;
    this.header = path.header;
    this.answers = path.answers;
    this.share = share;
    this.isKept = rule.revoke === 'keep';
    this.usedAt = Math.floor(performance.now());
    this.#name = destination.type === 'name' ? destination.name : undefined;
    const host = path.ip && formatIp(path.ip);
    this.#host = host === path.peer.host ? path.peer.host : host;
    this.#port = destination.port;
  }

  /** As the rules are asked about it. */
  get destination(): Destination {
    const port = this.#port;
    if (this.#name !== undefined) return { type: 'name', name: this.#name, port };
    return { type: 'ip', ip: parseIp(this.#host!)!, port };
  }

  get addresses(): readonly Ip[] | 'passed-on' {
    return this.#host === undefined ? 'passed-on' : [parseIp(this.#host)!];
  }
}
