import type { Command } from '../policy/policy.ts';
import type { ServerOptions, UpstreamOptions } from './options.ts';
import { isEncrypted } from './options.ts';

/**
 * What of a way can carry out a command: groups lose the members that cannot; `undefined` when nothing is left.
 * BIND takes SOCKS at the end of the way, RESOLVE SOCKS5. For UDP all servers have to speak SOCKS5, and no link may be
 * encrypted, for datagrams are not, unless that is fine (`clear`).
 */
export function ableTo(command: Command, way: UpstreamOptions, clear = false): UpstreamOptions | undefined {
  const isClear = clear || way.udp === 'clear';
  switch (way.type) {
    case 'server':
      return can(command, way, isClear) ? way : undefined;
    case 'discover':
      return can(command, way.server, isClear) ? way : undefined;
    case 'group': {
      const members = way.members.flatMap((member) => {
        const able = ableTo(command, member.way, isClear);
        return able === undefined ? [] : [{ ...member, way: able }];
      });
      return members.length === 0 ? undefined : { ...way, members };
    }
    case 'chain': {
      const last = way.hops.length - 1;
      const hops = way.hops.flatMap((hop, i) => {
        const able = command === 'udp' || i === last ? ableTo(command, hop, isClear) : hop;
        return able === undefined ? [] : [able];
      });
      return hops.length <= last ? undefined : { ...way, hops };
    }
    default:
      return way satisfies never;
  }
}

function can(command: Command, server: Pick<ServerOptions, 'protocol' | 'tls'>, isClear: boolean): boolean {
  switch (command) {
    case 'connect':
      return true;
    case 'bind':
      return server.protocol !== 'http';
    case 'resolve':
      return server.protocol === 'socks5';
    case 'udp':
      return server.protocol === 'socks5' && (isClear || !isEncrypted(server));
    default:
      return command satisfies never;
  }
}
