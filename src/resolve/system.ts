import type { Endpoint } from '../wire/address.ts';
import { parseIp } from '../wire/ip.ts';

/** A name server by its literal address: over UDP and TCP, unless it is encrypted. */
export interface NameServer extends Endpoint {
  readonly encrypted?: {
    /** The name in its certificate. @default its address */
    readonly name?: string;
    /** For DNS over HTTPS; without a path it is DNS over TLS. */
    readonly path?: string;
  };
}

/** The servers to ask, and how. */
export interface NameServers {
  /** In the order in which they are asked. */
  readonly servers: readonly NameServer[];
  /** How many times a silent server is asked. */
  readonly attempts: number;
  /** Maximum milliseconds to wait for a server's answer. */
  readonly patience: number;
}

/** The defaults of the C library without a file: the local host, two attempts, five seconds. */
export const DEFAULTS: NameServers = {
  servers: [{ host: '127.0.0.1', port: 53 }],
  attempts: 2,
  patience: 5000,
};

const MAX_SERVERS = 3;

/** Parses resolv.conf(5): `nameserver`, and the options `timeout` and `attempts`. */
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

/** A literal address; a link-local one keeps its zone (fe80::1%eth0), which the kernel requires. */
function isServer(text: string | undefined): text is string {
  return text !== undefined && parseIp(text.replace(/%.+$/, '')) !== undefined;
}

function clamp(value: number, max: number): number {
  return Math.min(Math.max(value, 1), max);
}
