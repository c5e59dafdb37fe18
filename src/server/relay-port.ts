import { setImmediate as immediate } from 'node:timers/promises';
import type { Engine, UdpEvents, UdpSocket } from '../net/engine.ts';
import type { PortRange } from '../policy/policy.ts';
import { AddressSet, parseAddressRange } from '../policy/addresses.ts';
import type { Ip } from '../wire/ip.ts';
import { Reply } from '../wire/socks5.ts';
import { codeOf, Failure } from './failure.ts';
import type { UdpSettings } from './settings.ts';

/** Binds the client's side of an association, within the listener's port range where it has one. */
export async function bindRelayPort(
  engine: Engine,
  host: string,
  ports: PortRange | undefined,
  events: UdpEvents,
): Promise<UdpSocket> {
  if (ports === undefined) return engine.udp({ host, port: 0 }, events);
  const count = ports.last - ports.first + 1;
  // From a random port on, so that a full range is not searched from its crowded start each time.
  const start = Math.floor(Math.random() * count);
  for (let i = 0; i < count; i++) {
    // A range that is full is not searched in one go: others have work to do.
    if (i % 32 === 31) await immediate();
    try {
      return await engine.udp({ host, port: ports.first + ((start + i) % count) }, events);
    } catch (error) {
      if (codeOf(error) !== 'EADDRINUSE') throw error;
    }
  }
  throw new Failure('limit', 'bind', 'udp-ports', Reply.generalFailure);
}

/** The address that this client is to be told, when the listener is known by another one in its network. */
export function advertisedAddress(client: Ip, advertise: UdpSettings['advertise']): string | undefined {
  return advertise.find(({ network }) => AddressSet.of([parseAddressRange(network)!]).has(client))?.address;
}
