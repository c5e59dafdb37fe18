import type { Connection, Engine } from '../net/engine.ts';
import type { Permit } from '../policy/decide.ts';
import { addressOf } from '../wire/address.ts';
import type { HostPort } from '../wire/address.ts';
import type { Ip } from '../wire/ip.ts';
import { Command } from '../wire/socks5.ts';
import { firstFromThere } from './addresses.ts';
import { UpstreamError } from './error.ts';
import { open } from './open.ts';
import { nextReply } from './driver.ts';
import type { UpstreamOptions } from './options.ts';
import { race } from './happy-eyeballs.ts';
import type { RaceOptions } from './happy-eyeballs.ts';
import type { Route } from './table.ts';
import { normalised } from './dial-context.ts';
import type { Opened, DialContext } from './dial-context.ts';

/** What the rules have allowed, and its way out. */
export interface RoutedPermit {
  readonly permit: Permit;
  readonly route: Route;
  /** Those of the permit's addresses that this route is for; none of a name that is passed on. */
  readonly addresses: readonly Ip[];
}

/** A connection to where a permit allows to go. */
export interface Dialled {
  readonly connection: Connection;
  /** The end towards the target, here or at the last server. */
  readonly bound: HostPort;
  /** The address of the target, unless only the last server knows it. */
  readonly address: HostPort | undefined;
}

/** Through upstreams. */
export interface DialledThrough extends Dialled, Pick<Opened, 'servers' | 'release'> {}

/** Connects to the first of the addresses that answers. */
export async function dialDirectly(
  { permit, addresses }: RoutedPermit,
  engine: Engine,
  options: RaceOptions,
): Promise<Dialled> {
  const connection = await race(addresses, permit.destination.port, engine, options);
  const { local, remote } = connection;
  return { connection, bound: local, address: remote };
}

/** Connects through an upstream. */
export async function dialThrough(
  way: UpstreamOptions,
  routed: RoutedPermit,
  context: DialContext,
): Promise<DialledThrough> {
  const opened = await askThrough(way, Command.connect, routed, context);
  const { stream, bound, address, servers, release } = opened;
  return { connection: stream, bound, address, servers, release };
}

/** What the last server was asked for: `address` is that of the target, unless only the server knows it. */
export interface Asked extends Opened {
  readonly address: HostPort | undefined;
}

/** Asks the last server of a way: by the name where it is passed on, else by address. */
export async function askThrough(
  way: UpstreamOptions,
  command: Command,
  { permit, addresses }: RoutedPermit,
  context: DialContext,
): Promise<Asked> {
  const { destination } = permit;
  const { port } = destination;
  const ask = (host: string): Promise<Opened> =>
    open(way, { command, destination: addressOf(host, port) }, context);
  if (destination.type === 'name' && addresses.length === 0)
    return { ...(await ask(destination.name)), address: undefined };
  return firstFromThere(addresses, async (host) => ({ ...(await ask(host)), address: { host, port } }));
}

/** Waits for the second reply to BIND: it tells who has connected to the last server, or 0.0.0.0. Rejects when the stream is destroyed, with the reason. */
export async function awaitPeerThrough({ stream, session, servers }: Opened): Promise<HostPort> {
  const { label } = servers.at(-1)!;
  const { ok, reply, bound } = await nextReply(stream, session, label, () => {});
  if (!ok) throw new UpstreamError('reply', label, `reply-${reply}`, reply);
  return normalised(bound);
}
