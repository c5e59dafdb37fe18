import type { Protocol } from '../policy/policy.ts';
import { formatAddress } from '../wire/address.ts';
import type { ListenerSettings } from '../server/settings.ts';
import type { Draft } from './draft.ts';
import { addressesOf } from './listen-address.ts';
import type { Placed, Reports } from './problem.ts';
import type { ListenerSection } from './schema.ts';
import type { Source } from './source.ts';
import { originOf } from './source.ts';
import { ValueError } from './value-error.ts';

const PROTOCOLS: readonly Protocol[] = ['socks5', 'socks4'];
const DEFAULT: ListenerSection = { address: { host: '127.0.0.1', port: 1080 } };

/** The listeners; one on an interface becomes one for each of its addresses. */
export function completeListeners(
  listen: Draft['listen'],
  hasUsers: boolean,
  source: Source,
  { error }: Reports,
): Placed<ListenerSettings>[] {
  if (listen?.length === 0)
    error(
      ['listen'],
      'there is no listener',
      'write listen: [{ address: 127.0.0.1:1080 }], or leave the key out',
    );
  const taken = new Set<string>();
  return (listen ?? [DEFAULT]).flatMap((section, i) => {
    if (section === undefined) return [];
    const { address, protocols = PROTOCOLS, methods = [hasUsers ? 'password' : 'none'] } = section;
    return hostsOf(section, i).map((host) => {
      const endpoint = { host, port: address.port };
      const written = formatAddress(endpoint);
      if (taken.has(written))
        error(
          ['listen', i, 'address'],
          `another listener has ${written} already`,
          'take one of the two away',
        );
      if (address.port !== 0) taken.add(written);
      const { ports, advertise = {}, replies = 'peers' } = section.udp ?? {};
      const made: ListenerSettings = {
        address: endpoint,
        protocols,
        methods,
        udp: {
          ...(ports !== undefined && { ports }),
          advertise: Object.entries(advertise).map(([network, announced]) => ({
            network,
            address: announced,
          })),
          replies,
        },
        ...originOf(source, ['listen', i]),
      };
      return { made, path: ['listen', i] };
    });
  });

  function hostsOf({ address }: ListenerSection, i: number): readonly string[] {
    try {
      return addressesOf(address.host);
    } catch (fault) {
      if (!(fault instanceof ValueError)) throw fault;
      error(['listen', i, 'address'], fault.message, fault.remedy);
      return [];
    }
  }
}
