import { existsSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import type { Endpoint } from '../../wire/address.ts';
import { familyOf } from '../../wire/ip.ts';
import type { Protocol } from '../../policy/policy.ts';
import { formatListenAddress } from '../../server/listen/listeners.ts';
import type { Advertised, BindSettings, ListenerSettings } from '../../server/settings.ts';
import type { Draft } from '../schema/draft.ts';
import { addressesOf } from '../schema/listen-address.ts';
import type { Files } from '../source/files.ts';
import type { Placed, Reports } from '../source/problem.ts';
import type { ListenerSection } from '../schema/sections.ts';
import type { Source } from '../source/source.ts';
import { originOf } from '../source/source.ts';
import { completeTls } from './tls.ts';
import { either, ValueError } from '../source/value-error.ts';

const PROTOCOLS: readonly Protocol[] = ['socks5', 'socks4'];
const DEFAULT: ListenerSection = { address: { host: '127.0.0.1', port: 1080 } };

/** The listeners; one on an interface becomes one for each of its addresses. */
export function completeListeners(
  listen: Draft['listen'],
  hasUsers: boolean,
  files: Files,
  source: Source,
  reports: Reports,
): Placed<ListenerSettings>[] {
  if (listen?.length === 0)
    reports.error(
      ['listen'],
      'there is no listener',
      'write listen: [{ address: 127.0.0.1:1080 }], or leave the key out',
    );
  const taken: Taken[] = [];
  return (listen ?? [DEFAULT]).flatMap((section, i) => {
    if (section === undefined) return [];
    const common = {
      ...(section.name !== undefined && { name: section.name }),
      ...completeOptions(section, i, hasUsers, files, reports),
      ...originOf(source, ['listen', i]),
    };
    return addressesFor(section, i, files, reports).map((address) => {
      take(taken, { address, ...common }, i, reports);
      return { made: { address, ...common }, path: ['listen', i] };
    });
  });
}

/** What the addresses of a section have in common. */
function completeOptions(
  section: ListenerSection,
  i: number,
  hasUsers: boolean,
  files: Files,
  reports: Reports,
): Omit<ListenerSettings, 'address'> {
  const tls = section.tls && completeTls(section.tls, ['listen', i, 'tls'], files, reports);
  const isCertified = section.tls?.['client-ca'] !== undefined;
  const fallback = isCertified ? 'certificate' : hasUsers ? 'password' : 'none';
  const { protocols = PROTOCOLS, methods = [fallback] } = section;
  if (methods.includes('certificate') && !isCertified)
    reports.error(
      ['listen', i, 'methods'],
      'no client is asked for a certificate here',
      'add tls: { cert: …, key: …, client-ca: … }',
    );
  const balancers = section['proxy-protocol']?.from;
  return {
    protocols,
    methods,
    udp: completeUdp(section.udp),
    ...(section.bind !== undefined && { bind: completeBind(section.bind) }),
    ...(section.resolve !== undefined && { resolve: section.resolve }),
    ...(tls !== undefined && { tls }),
    ...(section.interface !== undefined && { interface: section.interface }),
    ...(balancers !== undefined && { balancers }),
  };
}

function completeUdp(section: ListenerSection['udp'] = {}): ListenerSettings['udp'] {
  const { port, ports, advertise = {}, replies = 'peers', 'declared-port': declaredPort } = section;
  return {
    ...(port !== undefined && { port }),
    ...(ports !== undefined && { ports }),
    advertise: advertisedOf(advertise),
    replies,
    ...(declaredPort !== undefined && { declaredPort }),
  };
}

function completeBind({ ports, advertise = {} }: NonNullable<ListenerSection['bind']>): BindSettings {
  return { ...(ports !== undefined && { ports }), advertise: advertisedOf(advertise) };
}

function advertisedOf(advertise: Readonly<Record<string, string>>): readonly Advertised[] {
  return Object.entries(advertise).map(([network, address]) => ({ network, address }));
}

function addressesFor(
  { address, mode }: ListenerSection,
  i: number,
  files: Files,
  { error }: Reports,
): readonly ListenerSettings['address'][] {
  if (mode !== undefined && !('path' in address))
    error(['listen', i, 'mode'], 'only a unix socket has a mode', 'remove it', 'key');
  if ('activated' in address) return [address];
  if ('path' in address) return [{ path: files.path(address.path), mode: mode ?? 0o660 }];
  try {
    return addressesOf(address.host).map((host) => ({ host, port: address.port }));
  } catch (fault) {
    if (!(fault instanceof ValueError)) throw fault;
    error(['listen', i, 'address'], fault.message, fault.remedy);
    return [];
  }
}

type Taken = Pick<ListenerSettings, 'address' | 'interface'>;

/** Two listeners cannot have the same address, unless the system chooses the port. */
function take(taken: Taken[], listener: Taken, i: number, { error }: Reports): void {
  const other = taken.find((one) => isSameAddress(one, listener));
  if (other !== undefined) {
    const [own, theirs] = [formatListenAddress(listener.address), formatListenAddress(other.address)];
    error(
      ['listen', i, 'address'],
      own === theirs
        ? `another listener already has ${own}`
        : `this overlaps with another listener, at ${theirs}`,
      'remove one of the two',
    );
  }
  taken.push(listener);
}

function isSameAddress(a: Taken, b: Taken): boolean {
  if (!('port' in a.address) || !('port' in b.address))
    return formatListenAddress(a.address) === formatListenAddress(b.address);
  // Each on its own interface, they do not meet.
  if (a.interface !== undefined && b.interface !== undefined && a.interface !== b.interface) return false;
  return isTaken(a.address, b.address);
}

/** Whether two addresses cannot be listened on at once: they are equal, or one includes the other. */
function isTaken(a: Endpoint, b: Endpoint): boolean {
  return a.port === b.port && a.port !== 0 && (includes(a.host, b.host) || includes(b.host, a.host));
}

function includes(host: string, other: string): boolean {
  return host === other || host === '::' || (host === '0.0.0.0' && familyOf(other) === 4);
}

/** Reports a `health` address that a listener has. */
export function checkHealth(
  health: Endpoint | undefined,
  listeners: readonly Placed<ListenerSettings>[],
  { error }: Reports,
): void {
  const taken = listeners.find(
    ({ made: { address } }) => health !== undefined && 'host' in address && isTaken(address, health),
  );
  if (taken !== undefined)
    error(
      ['health'],
      `a listener already has ${formatListenAddress(taken.made.address)}`,
      'write another port: health speaks HTTP, not SOCKS',
    );
}

/** One port for all associations excludes ports for each, and several threads. */
export function checkSharedPorts({ listen = [], workers }: Draft, { error }: Reports): void {
  for (const [i, section] of listen.entries()) {
    const { port, ports } = section?.udp ?? {};
    if (port === undefined) continue;
    const path = ['listen', i, 'udp'];
    if (ports !== undefined)
      error(
        [...path, 'ports'],
        'there is one port for all associations already',
        'remove port or ports',
        'key',
      );
    if (typeof workers === 'number' && workers > 1)
      error(
        [...path, 'port'],
        'one port for all associations needs a single thread',
        'write workers: 1, or udp: { ports: 40000-40999 }',
        'key',
      );
  }
}

/**
 * Checks each `interface`: an error where it has no meaning, a warning where no client can connect at
 * present.
 */
export function checkInterfaces({ listen = [], engine }: Draft, { error, warning }: Reports): void {
  for (const [i, section] of listen.entries()) {
    if (section?.interface === undefined) continue;
    const { address, interface: name } = section;
    const path = ['listen', i, 'interface'];
    if ('path' in address)
      error(path, 'connections to a unix socket do not arrive on an interface', 'remove it', 'key');
    else if ('activated' in address)
      error(path, 'systemd opens this socket', 'write BindToDevice= in the socket unit', 'key');
    else if (engine === 'portable')
      error(path, 'only the fast engine supports interface', 'write engine: fast, or remove it', 'key');
    else if (!existsSync(`/sys/class/net/${name}`))
      warning(
        path,
        `there is no interface ${name}: no client can connect until there is`,
        `this machine has ${either(Object.keys(networkInterfaces()))}`,
      );
  }
}
