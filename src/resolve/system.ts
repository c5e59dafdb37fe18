import type { Endpoint } from '../wire/address.ts';
import { parseIp } from '../wire/ip.ts';

/** A name server by its literal address: asked over UDP and TCP, unless it is by TLS or HTTPS. */
export interface NameServer extends Endpoint {
  readonly encrypted?: {
    /** What its certificate is for. @default its address */
    readonly name?: string;
    /** Of HTTPS; without one it is TLS. */
    readonly path?: string;
  };
}

/** Whom to ask, and how. */
export interface NameServers {
  /** Asked in this order. */
  readonly servers: readonly NameServer[];
  /** How often a silent server is asked. */
  readonly attempts: number;
  /** Milliseconds that a server has to answer, at most. */
  readonly patience: number;
}

/** As the C library does with no file: its own machine, two attempts, five seconds. */
export const DEFAULTS: NameServers = {
  servers: [{ host: '127.0.0.1', port: 53 }],
  attempts: 2,
  patience: 5000,
};

const MAX_SERVERS = 3;

/** Reads resolv.conf(5): `nameserver`, and of the options `timeout` and `attempts`. */
export function parseResolvConf(text: string): NameServers {
  const servers: Endpoint[] = [];
  let { attempts, patience } = DEFAULTS;
  for (const line of text.split('\n')) {
    if (line.startsWith('#') || line.startsWith(';')) continue;
    const [keyword, ...values] = line.trim().split(/\s+/);
    if (keyword === 'nameserver' && isServer(values[0])) servers.push({ host: values[0], port: 53 });
    if (keyword !== 'options') continue;
    for (const option of values) {
      const [, name, digits] = /^(attempts|timeout):(\d{1,3})$/.exec(option) ?? [];
      if (name === 'attempts') attempts = clamp(Number(digits), 5);
      if (name === 'timeout') patience = clamp(Number(digits), 30) * 1000;
    }
  }
  return {
    servers: servers.length === 0 ? DEFAULTS.servers : servers.slice(0, MAX_SERVERS),
    attempts,
    patience,
  };
}

/** A literal address; a link-local one keeps its zone (fe80::1%eth0), the kernel needs it. */
function isServer(text: string | undefined): text is string {
  return text !== undefined && parseIp(text.replace(/%.+$/, '')) !== undefined;
}

function clamp(value: number, max: number): number {
  return Math.min(Math.max(value, 1), max);
}
