import type { Peer, UdpSocket } from '../../net/engine.ts';
import type { Permit } from '../../policy/decide.ts';
import type { Destination } from '../../policy/policy.ts';
import { formatIp, parseIp } from '../../wire/ip.ts';
import type { Ip } from '../../wire/ip.ts';
import type { Share } from './shares.ts';

/** The path of datagrams to one destination. */
export interface UdpPath {
  readonly socket: UdpSocket;
  readonly peer: Peer;
  /** The headers for upstreams, in front of the data. */
  readonly header: Uint8Array | undefined;
  /** The destination's address; unknown for a name that is passed on. */
  readonly ip: Ip | undefined;
  /** The key of the answering peer; for a direct path, the peer's own. */
  readonly answers: string;
}

/** A destination that the rules allow. An association has thousands, so derivable values are not stored. */
export class Allowed {
  readonly state = 'allowed';
  readonly socket: UdpSocket;
  readonly peer: Peer;
  readonly header: Uint8Array | undefined;
  readonly answers: string;
  /** That of the rule that allows it. */
  share: Share;
  /** The header of its answers, after the first. */
  answerHeader: Uint8Array | undefined = undefined;
  /** Its answers cannot be distinguished from those of a destination under another rule. */
  isMixed = false;
  /** Whether the rule had `revoke: keep` when it allowed the destination. */
  isKept: boolean;
  /** Milliseconds, as an integer: a fraction would take a heap object. */
  usedAt: number;
  readonly #name: string | undefined;
  /** Unknown for a name that is passed on. */
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

  /** As the rules see it. */
  get destination(): Destination {
    const port = this.#port;
    if (this.#name !== undefined) return { type: 'name', name: this.#name, port };
    return { type: 'ip', ip: parseIp(this.#host!)!, port };
  }

  get addresses(): readonly Ip[] | 'passed-on' {
    return this.#host === undefined ? 'passed-on' : [parseIp(this.#host)!];
  }
}
