import type { Command } from '../policy/policy.ts';
import type { ServerOptions, UpstreamOptions } from './options.ts';
import { isEncrypted, isSocks4, mayGoDirectly } from './options.ts';

/**
 * The part of an upstream that can carry out a command: groups lose the members that cannot; `undefined` when
 * nothing is left. BIND requires SOCKS at the end of the upstream, RESOLVE SOCKS5. UDP requires SOCKS5 at
 * every server and, unless `clear` is set, no encrypted link, since datagrams would not be encrypted.
 */
export function ableTo(
  command: Command,
  upstream: UpstreamOptions,
  clear = false,
): UpstreamOptions | undefined {
  const isClear = clear || upstream.udp === 'clear';
  switch (upstream.type) {
    case 'server':
      return can(command, upstream, isClear) ? upstream : undefined;
    case 'discover':
      return can(command, upstream.server, isClear) ? upstream : undefined;
    case 'group': {
      const members = upstream.members.flatMap((member) => {
        const able = ableTo(command, member.upstream, isClear);
        return able === undefined ? [] : [{ ...member, upstream: able }];
      });
      return members.length === 0 ? undefined : { ...upstream, members };
    }
    case 'chain': {
      const last = upstream.hops.length - 1;
      const hops = upstream.hops.flatMap((hop, i) => {
        const able = command === 'udp' || i === last ? ableTo(command, hop, isClear) : hop;
        return able === undefined ? [] : [able];
      });
      return hops.length <= last ? undefined : { ...upstream, hops };
    }
    default:
      return upstream satisfies never;
  }
}

/** Whether some server at the end of an upstream takes IPv6 addresses. */
export function takesIpv6(upstream: UpstreamOptions): boolean {
  switch (upstream.type) {
    case 'server':
      return !isSocks4(upstream.protocol);
    case 'discover':
      return !isSocks4(upstream.server.protocol);
    case 'group':
      return mayGoDirectly(upstream) || upstream.members.some((member) => takesIpv6(member.upstream));
    case 'chain':
      return takesIpv6(upstream.hops.at(-1)!);
    default:
      return upstream satisfies never;
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
