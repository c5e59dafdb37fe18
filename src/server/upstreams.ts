import type { Log } from '../audit/log.ts';
import type { Spare } from '../limits/spare.ts';
import type { Engine } from '../net/engine.ts';
import type { LinkFailed } from '../route/link.ts';
import { Outbound } from '../route/outbound.ts';
import type { OwnPorts } from './listen/own-ports.ts';
import type { Settings } from './settings.ts';

interface Parts {
  readonly engine: Engine;
  readonly spare: Spare;
  readonly ports: OwnPorts;
  readonly log: Log;
  readonly linkFailed?: LinkFailed;
  readonly healthMemory: SharedArrayBuffer;
}

/** The way out of one thread; changes of upstreams are logged. */
export function outboundFor(settings: Settings, { ports, log, ...parts }: Parts): Outbound {
  return new Outbound(
    {
      ...parts,
      isOwnPort: (ip, port) => ports.isOwnPort(ip, port, 'tcp'),
      upstreamChanged: (upstream, why) =>
        why === undefined
          ? log.info('upstream-up', { upstream })
          : log.warn('upstream-down', { upstream, why }),
      serviceMissed: (service, why) => log.warn('service-missed', { service, why }),
    },
    settings,
  );
}
