import { addressOf } from '../wire/address.ts';
import { Command } from '../wire/socks5.ts';
import { UpstreamError } from './error.ts';
import { candidates } from './group.ts';
import { openServer } from './hop.ts';
import type { ChainOptions, DiscoverOptions, GroupOptions, UpstreamOptions } from './options.ts';
import { directly } from './reach.ts';
import type { Reach } from './reach.ts';
import { inTime } from './trip.ts';
import type { Opened, Request, Trip } from './trip.ts';

/** Milliseconds within which a server that is well can be expected to answer. */
const FAIR = 1000;

/**
 * Makes a request of the server at the end of a way. Rejects with an UpstreamError, a ResolveError for a name that has to
 * become an address here, or the signal's reason.
 */
export function open(way: UpstreamOptions, request: Request, trip: Trip): Promise<Opened> {
  return openFrom(directly, way, request, trip);
}

function openFrom(reach: Reach, way: UpstreamOptions, request: Request, trip: Trip): Promise<Opened> {
  switch (way.type) {
    case 'server':
      return openServer(reach, way, request, trip);
    case 'group':
      return openGroup(reach, way, request, trip);
    case 'discover':
      return openDiscovered(reach, way, request, trip);
    case 'chain':
      return openChain(reach, way, request, trip);
    default:
      return way satisfies never;
  }
}

function openChain(reach: Reach, { hops }: ChainOptions, request: Request, trip: Trip): Promise<Opened> {
  let reachLast = reach;
  for (const hop of hops.slice(0, -1)) reachLast = through(reachLast, hop);
  return openFrom(reachLast, hops.at(-1)!, request, trip);
}

/** Reaches a server by CONNECT through a way. */
function through(reach: Reach, way: UpstreamOptions): Reach {
  return (server, trip) => {
    const { at } = server;
    const request = { command: Command.connect, destination: addressOf(at.host, at.port) };
    // It is to be reached while the patience lasts.
    return openFrom(reach, way, request, { ...trip, deadline: trip.patience });
  };
}

/** One member after the other, until one is reached, able and understands. */
async function openGroup(reach: Reach, group: GroupOptions, request: Request, trip: Trip): Promise<Opened> {
  const { health } = trip;
  const members = candidates(group, trip.client, health).slice(0, group.tries);
  let last: unknown;
  for (const [i, way] of members.entries()) {
    const now = performance.now();
    const patience = now + (trip.patience - now) / (members.length - i);
    const leave = health.enter(way.label);
    try {
      const opened = await openFrom(reach, way, request, { ...trip, patience });
      health.succeeded(way.label, group.health);
      return { ...opened, release: joined(leave, opened.release) };
    } catch (error) {
      leave();
      if (!(error instanceof UpstreamError)) throw error;
      // It was reached, and it has understood.
      if (error.trouble === 'reply' && error.code !== 'ETIMEDOUT') health.succeeded(way.label, group.health);
      if (error.trouble === 'refused' || error.trouble === 'reply') throw error;
      // One that had hardly any time left may be well.
      if (error.trouble === 'unreachable' && patience - now >= FAIR)
        health.failed(way.label, group.health, error.code);
      last = error;
    }
  }
  throw last;
}

async function openDiscovered(
  reach: Reach,
  way: DiscoverOptions,
  request: Request,
  trip: Trip,
): Promise<Opened> {
  const { discovery, resolver, client, signal } = trip;
  const group = await inTime(discovery.group(way, resolver, { source: client, signal }), trip);
  return openGroup(reach, group, request, trip);
}

function joined(first: () => void, second: () => void): () => void {
  return () => {
    first();
    second();
  };
}
