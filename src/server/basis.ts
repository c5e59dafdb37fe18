import { Spare } from '../limits/spare.ts';
import { chooseEngine } from '../net/choose.ts';
import { compile } from '../policy/compile.ts';
import type { Basis } from '../route/judge.ts';
import { Outbound } from '../route/outbound.ts';
import { createPortMemory, OwnPorts } from './listen/own-ports.ts';
import type { Settings } from './settings.ts';

/** What the judge needs, and the resolvers that answer its questions. */
export type DecidingBasis = Basis & { readonly outbound: Outbound };

/**
 * The basis on which a server with these settings would decide. It opens nothing, and sends queries to name
 * servers at most.
 */
export async function basisOf(settings: Settings): Promise<DecidingBasis> {
  const { listeners, routes, health, policy, engine: name } = settings;
  const memory = createPortMemory();
  const ports = new OwnPorts(memory);
  for (const { address } of listeners) if ('host' in address) ports.add(address, 'tcp');
  // The workers do not open it: they know its port, but not its address.
  if (health !== undefined) new OwnPorts(memory).add(health, 'tcp');
  // The name servers of a route are queried from its egress, which not every engine supports.
  const asks = routes?.some(({ dns, egress }) => dns !== undefined && egress !== undefined) === true;
  const { engine } = await chooseEngine(asks ? name : 'portable');
  const outbound = new Outbound(
    {
      engine,
      spare: new Spare(0),
      isOwnPort: (ip, port) => ports.isOwnPort(ip, port, 'tcp'),
    },
    settings,
  );
  return { ports, policy: compile(policy), outbound };
}
