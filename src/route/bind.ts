import type { HostPort } from '../wire/address.ts';
import { UpstreamError } from './error.ts';
import { nextReply } from './shake.ts';
import type { Opened } from './trip.ts';

/** Waits for the second reply to BIND: it tells who has connected to the last server, or 0.0.0.0. Rejects when the stream is destroyed, with the reason. */
export async function awaitPeerThrough({ stream, session, servers }: Opened): Promise<HostPort> {
  const { label } = servers.at(-1)!;
  const { ok, reply, bound } = await nextReply(stream, session, label, () => {});
  if (!ok) throw new UpstreamError('reply', label, `reply-${reply}`, reply);
  return bound;
}
