import type { RouteOptions, ServerOptions, UpstreamOptions } from '../../route/options.ts';
import { OwnPorts } from '../../server/listen/own-ports.ts';
import type { ListenerSettings } from '../../server/settings.ts';
import { parseIp } from '../../wire/ip.ts';
import type { Placed, Reports } from '../source/problem.ts';

/** Reports routes that lead back to garter, which would loop. */
export function reportLoops(
  routes: readonly Placed<RouteOptions>[],
  listeners: readonly Placed<ListenerSettings>[],
  { error }: Reports,
): void {
  const ports = new OwnPorts();
  const paths = new Set<string>();
  for (const { made } of listeners) {
    if ('host' in made.address) ports.add(made.address, 'tcp');
    if ('path' in made.address) paths.add(made.address.path);
  }
  for (const { made, path } of routes) {
    if (made.via === 'direct') continue;
    const own = firstOn(made.via).find((server) => isOwn(server, ports, paths));
    if (own === undefined) continue;
    error([...path, 'via'], `garter itself listens at ${own.label}`, 'write the URL of another server');
  }
}

/** The servers that this machine connects to directly; those behind them are reached from elsewhere. */
function firstOn(upstream: UpstreamOptions): readonly ServerOptions[] {
  switch (upstream.type) {
    case 'server':
      return [upstream];
    case 'group':
      return upstream.members.flatMap((member) => firstOn(member.upstream));
    case 'discover':
      return [];
    case 'chain':
      return firstOn(upstream.hops[0]!);
    default:
      return upstream satisfies never;
  }
}

function isOwn({ at, path }: ServerOptions, ports: OwnPorts, paths: ReadonlySet<string>): boolean {
  if (path !== undefined) return paths.has(path);
  return hostsOf(at.host).some((host) => {
    const ip = parseIp(host);
    return ip !== undefined && ports.isOwnPort(ip, at.port, 'tcp');
  });
}

/** Checking a configuration does not resolve any other names. */
function hostsOf(host: string): readonly string[] {
  return host === 'localhost' ? ['127.0.0.1', '::1'] : [host];
}
