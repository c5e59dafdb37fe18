import { formatIp, isLoopback, parseIp, sameIp, type Ip } from '../wire/ip.ts';
import { isWithin } from './name.ts';

/** The hosts file in both directions; an address has the first name of its first line. */
export interface Hosts {
  readonly addresses: ReadonlyMap<string, readonly Ip[]>;
  readonly names: ReadonlyMap<string, string>;
}

const LOOPBACK: readonly Ip[] = [parseIp('127.0.0.1')!, parseIp('::1')!];

/** Parses hosts(5): an address and its names per line, # comments. Invalid lines are skipped. */
export function parseHosts(text: string): Hosts {
  const hosts = new HostTable();
  for (const line of text.split('\n')) {
    const [literal = '', ...own] = line.replace(/#.*/, '').trim().toLowerCase().split(/\s+/);
    const ip = parseIp(literal);
    if (ip !== undefined) for (const name of own) hosts.add(ip, name);
  }
  return hosts;
}

/** Canonical names with literal addresses, as a hosts file. */
export function fixedHosts(names: Readonly<Record<string, readonly string[]>>): Hosts {
  const hosts = new HostTable();
  for (const [name, literals] of Object.entries(names))
    for (const literal of literals) hosts.add(parseIp(literal)!, name);
  return hosts;
}

class HostTable implements Hosts {
  readonly addresses: Map<string, Ip[]> = new Map();
  readonly names: Map<string, string> = new Map();

  add(ip: Ip, name: string): void {
    const key = formatIp(ip);
    if (!this.names.has(key)) this.names.set(key, name);
    const known = this.addresses.get(name);
    if (known === undefined) this.addresses.set(name, [ip]);
    else if (!known.some((one) => sameIp(one, ip))) known.push(ip);
  }
}

/**
 * The addresses of a canonical name. `localhost` and all names below it are loopback, whatever the file
 * contains (RFC 6761 section 6.3).
 */
export function addressesOf(name: string, hosts: Hosts): readonly Ip[] {
  const found = hosts.addresses.get(name) ?? [];
  if (!isWithin(name, 'localhost')) return found;
  const loopback = found.filter((ip) => isLoopback(formatIp(ip)));
  return loopback.length > 0 ? loopback : LOOPBACK;
}

/** The name of an address; `localhost` for a loopback address that the file does not list. */
export function nameOf(ip: Ip, hosts: Hosts): string | undefined {
  const key = formatIp(ip);
  return hosts.names.get(key) ?? (key === '127.0.0.1' || key === '::1' ? 'localhost' : undefined);
}
