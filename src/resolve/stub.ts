import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import type { WithId } from './channel.ts';
import type { Channels } from './encrypted.ts';
import { ResolveError } from './error.ts';
import { decodeReply, encodeQuery, Rcode, type Query, type QueryType, type Records } from './message.ts';
import { outcomeOf, type Outcome } from './outcome.ts';
import type { NameServer, NameServers } from './system.ts';

/**
 * Asks the servers in turn until one has an answer. The next one is asked when a server fails or refuses, cannot be
 * reached, or is silent; only the silent ones are asked again. Ends within `timeout` milliseconds. Rejects with a
 * ResolveError (ESERVFAIL, ETIMEOUT) or with the signal's reason.
 */
export async function query(
  name: string,
  type: QueryType,
  from: NameServers,
  timeout: number,
  channels: Channels,
  signal: AbortSignal,
): Promise<Records> {
  const patience = Math.min(from.patience, timeout / (from.attempts * from.servers.length));
  const complaints = new Map<NameServer, Complaint>();
  for (let attempt = 0; attempt < from.attempts; attempt++) {
    for (const server of from.servers) {
      const before = complaints.get(server);
      if (before !== undefined && before.type !== 'silent') continue;
      const outcome = await ask(server, name, type, patience, channels, signal);
      if (outcome.type === 'records') return outcome;
      complaints.set(server, outcome);
    }
  }
  throw failure(name, complaints);
}

type Complaint = Exclude<Outcome, Records>;

/** One server's answer: by UDP, by TCP if it is too long, or by its channel; without EDNS if it does not know that. */
async function ask(
  server: NameServer,
  name: string,
  type: QueryType,
  patience: number,
  channels: Channels,
  signal: AbortSignal,
): Promise<Outcome> {
  const deadline = performance.now() + patience;
  const isEncrypted = server.encrypted !== undefined;
  const send = (exchange: Exchange, edns: boolean): Promise<Outcome> => {
    const withId: WithId = (id) => encodeQuery(id, name, type, edns, isEncrypted);
    return exchange(server, withId, deadline - performance.now(), signal);
  };
  const first: Exchange = isEncrypted ? (...all) => channels.exchange(...all) : overUdp;
  let edns = true;
  let outcome = await send(first, edns);
  if (outcome.type === 'failure' && outcome.rcode === Rcode.formatError) {
    edns = false;
    outcome = await send(first, edns);
  }
  return outcome.type === 'truncated' ? send(overTcp, edns) : outcome;
}

type Exchange = (
  server: NameServer,
  withId: WithId,
  patience: number,
  signal: AbortSignal,
) => Promise<Outcome>;

/** The id and the source port are all that keeps a forger out (RFC 5452): new ones for every query. */
function newQuery(withId: WithId): Query {
  return withId(randomInt(0x1_0000));
}

/** The socket is connected, so that the kernel drops what others send, and tells when nobody listens there. */
const overUdp: Exchange = async (server, withId, patience, signal) => {
  const message = newQuery(withId);
  const socket = createSocket(server.host.includes(':') ? 'udp6' : 'udp4');
  try {
    return await outcomeOf(patience, signal, (settle, fail) => {
      socket.on('error', fail);
      socket.on('message', (bytes) => {
        const reply = decodeReply(bytes, message);
        if (reply !== undefined) settle(reply);
      });
      socket.connectSync(server.port, server.host);
      socket.send(message.bytes, (error) => {
        if (error !== null) fail(error);
      });
    });
  } finally {
    socket.close();
  }
};

/** RFC 7766: the message after its length in two bytes. */
const overTcp: Exchange = async (server, withId, patience, signal) => {
  const message = newQuery(withId);
  const socket = connect(server.port, server.host);
  try {
    return await outcomeOf(patience, signal, (settle, fail) => {
      const received = Buffer.allocUnsafe(2 + 0xffff);
      let size = 0;
      socket.on('error', fail);
      socket.on('end', () => fail(new Error('connection closed before the answer was complete')));
      socket.on('data', (chunk: Buffer) => {
        size += chunk.copy(received, size);
        if (size < 2) return;
        const end = 2 + received.readUInt16BE(0);
        if (size < end) return;
        const reply = decodeReply(received.subarray(2, end), message);
        if (reply === undefined || reply.type === 'truncated') fail(new Error('no answer to this query'));
        else settle(reply);
      });
      const length = Buffer.alloc(2);
      length.writeUInt16BE(message.bytes.length);
      socket.write(Buffer.concat([length, message.bytes]));
    });
  } finally {
    socket.destroy();
  }
};

function failure(name: string, complaints: ReadonlyMap<NameServer, Complaint>): ResolveError {
  const all = [...complaints];
  const silent = all.every(([, { type }]) => type === 'silent');
  const said = all
    .map(([{ host, port }, complaint]) => `${host} port ${port}: ${describe(complaint)}`)
    .join(', ');
  const causes = all.flatMap(([, complaint]) => ('cause' in complaint ? [complaint.cause] : []));
  return new ResolveError(silent ? 'ETIMEOUT' : 'ESERVFAIL', `${name}: ${said}`, { cause: causes[0] });
}

function describe(complaint: Complaint): string {
  switch (complaint.type) {
    case 'silent':
      return 'no answer';
    case 'failure':
      return `RCODE ${complaint.rcode}`;
    case 'unusable':
    case 'unreachable':
      return `${complaint.type} (${String(complaint.cause)})`;
    case 'truncated':
      return complaint.type;
    default:
      return complaint satisfies never;
  }
}
