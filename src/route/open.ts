import { ResolveError } from '../resolve/error.ts';
import { addressOf } from '../wire/address.ts';
import { Command, Reply } from '../wire/socks5.ts';
import { UpstreamError } from './error.ts';
import { examine } from './examine.ts';
import { candidates } from './group.ts';
import { openServer } from './hop.ts';
import type { ChainOptions, DiscoverOptions, GroupOptions, UpstreamOptions } from './options.ts';
import { directly } from './reach.ts';
import type { Reach } from './reach.ts';
import { withTimeout } from './dial-context.ts';
import type { Opened, Request, DialContext } from './dial-context.ts';

/** Milliseconds within which a server that is well can be expected to answer. */
const FAIR = 1000;

/**
 * Makes a request of the server at the end of a way. Rejects with an UpstreamError, a ResolveError for a name that has to
 * become an address here, or the signal's reason.
 */
export function open(way: UpstreamOptions, request: Request, context: DialContext): Promise<Opened> {
  return openFrom(directly, way, request, context);
}

function openFrom(
  reach: Reach,
  way: UpstreamOptions,
  request: Request,
  context: DialContext,
): Promise<Opened> {
  switch (way.type) {
    case 'server':
      return openServer(reach, way, request, context);
    case 'group':
      return openGroup(reach, way, request, context);
    case 'discover':
      return openDiscovered(reach, way, request, context);
    case 'chain':
      return openChain(reach, way, request, context);
    default:
      return way satisfies never;
  }
}

function openChain(
  reach: Reach,
  { hops }: ChainOptions,
  request: Request,
  context: DialContext,
): Promise<Opened> {
  let reachLast = reach;
  for (const hop of hops.slice(0, -1)) reachLast = through(reachLast, hop);
  return openFrom(reachLast, hops.at(-1)!, request, context);
}

/** Reaches a server by CONNECT through a way. */
function through(reach: Reach, way: UpstreamOptions): Reach {
  return (server, context) => {
    const { at } = server;
    const request = {
      command: Command.connect,
      destination: addressOf(at.host, at.port),
      leadsOn: true,
    };
    // It is to be reached before the deadline of the hop.
    return openFrom(reach, way, request, { ...context, deadline: context.hopDeadline });
  };
}

/** One member after the other, until one is reached, able and understands. */
async function openGroup(
  reach: Reach,
  group: GroupOptions,
  request: Request,
  context: DialContext,
): Promise<Opened> {
  const { health } = context;
  const members = candidates(group, context.client, health);
  let { tries } = group;
  let last: unknown;
  /** Not heard from, which may be the destination's doing. */
  const doubtful: UpstreamOptions[] = [];
  try {
    for (const [i, way] of members.entries()) {
      if (tries === 0) break;
      const now = performance.now();
      const hopDeadline = now + (context.hopDeadline - now) / Math.min(tries, members.length - i);
      const deadline = request.leadsOn === true ? hopDeadline : context.deadline;
      const leave = health.enter(way.label);
      try {
        const opened = await openFrom(reach, way, request, { ...context, hopDeadline, deadline });
        health.succeeded(way.label, group.health);
        return { ...opened, release: joined(leave, opened.release) };
      } catch (error) {
        leave();
        if (!(error instanceof UpstreamError)) throw error;
        // It was reached, and it has understood.
        if (error.trouble === 'reply' && error.code !== 'ETIMEDOUT')
          health.succeeded(way.label, group.health);
        if (isFinal(error, request)) throw error;
        // One that had hardly any time left may be well.
        if (hopDeadline - now >= FAIR) {
          if (error.trouble === 'silent') doubtful.push(way);
          else if (error.trouble === 'unreachable') health.failed(way.label, group.health, error.code);
        }
        if (!isUnable(error)) tries--;
        last = error;
      }
    }
    throw last;
  } finally {
    // Whatever became of the request: those that are never found down would be in front of the others for ever.
    for (const way of doubtful) void ask(reach, way, group, context);
  }
}

/** What a client and its destination can bring about must not count for the others: a server is down if it fails a question of our own. */
async function ask(
  reach: Reach,
  way: UpstreamOptions,
  group: GroupOptions,
  context: DialContext,
): Promise<void> {
  const { asked, closing } = context.health;
  if (asked.has(way.label)) return;
  asked.add(way.label);
  // The client may go, and others want to know all the same.
  const own = { ...context, signal: closing.signal, credentials: undefined };
  await examine(way, group.health, own, (request, timed) => openFrom(reach, way, request, timed));
  asked.delete(way.label);
}

/** What a server says about the destination is the same everywhere; about the next server of ours, another one may know better. */
function isFinal(error: UpstreamError, { leadsOn }: Request): boolean {
  if (error.trouble === 'refused') return true;
  return error.trouble === 'reply' && leadsOn !== true && !isUnable(error);
}

/** This kind of server cannot do what is asked for, as we know or as it says itself. */
function isUnable({ trouble, reply }: UpstreamError): boolean {
  if (trouble === 'unable') return true;
  const says = reply === Reply.commandNotSupported || reply === Reply.addressTypeNotSupported;
  return trouble === 'reply' && says;
}

async function openDiscovered(
  reach: Reach,
  way: DiscoverOptions,
  request: Request,
  context: DialContext,
): Promise<Opened> {
  const { discovery, resolver, source, signal } = context;
  let group: GroupOptions;
  try {
    group = await withTimeout(discovery.group(way, resolver, { source, signal }), context);
  } catch (error) {
    if (!(error instanceof ResolveError)) throw error;
    throw new UpstreamError('unreachable', way.label, error.code, undefined, error);
  }
  return openGroup(reach, group, request, context);
}

function joined(first: () => void, second: () => void): () => void {
  return () => {
    first();
    second();
  };
}
