import type { Log } from '../audit/log.ts';
import type { Engine } from '../net/engine.ts';
import { Spare } from '../limits/spare.ts';
import { Resolvers } from '../resolve/resolvers.ts';
import { Checks } from '../route/checks.ts';
import type { Ground } from '../route/checks.ts';
import { Discovery } from '../route/discovery.ts';
import { Health } from '../route/health.ts';
import { Links } from '../route/link.ts';
import { namesFor } from '../route/table.ts';
import { sparePossible } from './limits/descriptors.ts';
import type { OwnPorts } from './listen/own-ports.ts';
import type { Settings } from './settings.ts';
import type { SharedMemory } from './shared-memory.ts';

/** How upstreams do, by what all threads have noted; changes are logged. */
export function healthOf(memory: SharedArrayBuffer, log: Log): Health {
  return new Health(memory, (upstream, why) =>
    why === undefined ? log.info('upstream up', { upstream }) : log.warn('upstream down', { upstream, why }),
  );
}

export function discoveryFor(log: Log): Discovery {
  return new Discovery((service, why) =>
    log.warn('a service could not be looked up; servers found before are still used', { service, why }),
  );
}

/** The checks that the settings want, by the server's own thread. What it has found out about services outlasts a reload. */
export class UpstreamChecks implements Disposable {
  readonly #ground: Ground;
  #resolvers: Resolvers;
  #checks: Checks | undefined;

  constructor(memory: SharedMemory, engine: Engine, ports: OwnPorts, log: Log) {
    const spare = new Spare(sparePossible(), memory.spare);
    this.#resolvers = new Resolvers({ spare });
    this.#ground = {
      engine,
      spare,
      health: healthOf(memory.health, log),
      discovery: discoveryFor(log),
      // What is wrong with a certificate is why the upstream is down.
      links: new Links(() => {}),
      isOwnPort: (ip, port) => ports.isOwnPort(ip, port, 'tcp'),
    };
  }

  use({ routes = [], resolve }: Settings): void {
    const before = this.#resolvers;
    const resolvers = new Resolvers({ engine: this.#ground.engine, spare: this.#ground.spare });
    this.#resolvers = resolvers;
    this.#checks?.close();
    this.#checks = new Checks(
      routes,
      (route) => resolvers.for(namesFor(route, resolve), before),
      this.#ground,
    );
  }

  close(): void {
    this.#checks?.close();
    this.#resolvers.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
