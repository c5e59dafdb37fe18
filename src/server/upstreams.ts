import type { Log } from '../audit/log.ts';
import type { Engine } from '../net/engine.ts';
import { Checks } from '../route/checks.ts';
import { Discovery } from '../route/discover.ts';
import { Health } from '../route/health.ts';
import { Links } from '../route/link.ts';
import type { OwnPorts } from './own-ports.ts';
import type { Settings } from './settings.ts';

/** How upstreams do, by what all threads have noted; changes are logged. */
export function healthOf(memory: SharedArrayBuffer, log: Log): Health {
  return new Health(memory, (upstream, why) =>
    why === undefined ? log.info('upstream up', { upstream }) : log.info('upstream down', { upstream, why }),
  );
}

export function discoveryFor(log: Log): Discovery {
  return new Discovery((service, why) =>
    log.warn('a service could not be looked up; servers found before are still used', { service, why }),
  );
}

/** What `settings` want checked, by the server's own thread. */
export function checksFor(
  { routes = [], resolve }: Settings,
  health: Health,
  { engine, ports, log }: { readonly engine: Engine; readonly ports: OwnPorts; readonly log: Log },
): Checks {
  return new Checks(routes, resolve, {
    engine,
    health,
    discovery: discoveryFor(log),
    // What is wrong with a certificate is why the upstream is down.
    links: new Links(() => {}),
    isOwnPort: (ip, port) => ports.isOwnPort(ip, port, 'tcp'),
  });
}
