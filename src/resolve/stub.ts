import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import type { Endpoint } from '../net/engine.ts';
import { ResolveError } from './error.ts';
import {
  decodeReply,
  encodeQuery,
  Rcode,
  type Query,
  type QueryType,
  type Records,
  type Reply,
} from './message.ts';
import type { NameServers } from './system.ts';

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
  signal: AbortSignal,
): Promise<Records> {
  const patience = Math.min(from.patience, timeout / (from.attempts * from.servers.length));
  const complaints = new Map<Endpoint, Complaint>();
  for (let attempt = 0; attempt < from.attempts; attempt++) {
    for (const server of from.servers) {
      const before = complaints.get(server);
      if (before !== undefined && before.type !== 'silent') continue;
      const outcome = await ask(server, name, type, patience, signal);
      if (outcome.type === 'records') return outcome;
      complaints.set(server, outcome);
    }
  }
  throw failure(name, complaints);
}

type Outcome =
  | Reply
  | { readonly type: 'silent' }
  | { readonly type: 'unreachable'; readonly cause: unknown };

type Complaint = Exclude<Outcome, Records>;

/** One server's answer: by UDP, without EDNS if it does not know that, by TCP if it is too long. */
async function ask(
  server: Endpoint,
  name: string,
  type: QueryType,
  patience: number,
  signal: AbortSignal,
): Promise<Outcome> {
  const deadline = performance.now() + patience;
  const send = (exchange: Exchange, edns: boolean): Promise<Outcome> => {
    // The id and the source port are all that keeps a forger out (RFC 5452): new ones for every query.
    const message = encodeQuery(randomInt(0x1_0000), name, type, edns);
    return exchange(server, message, deadline - performance.now(), signal);
  };
  let edns = true;
  let outcome = await send(overUdp, edns);
  if (outcome.type === 'failure' && outcome.rcode === Rcode.formatError) {
    edns = false;
    outcome = await send(overUdp, edns);
  }
  return outcome.type === 'truncated' ? send(overTcp, edns) : outcome;
}

type Exchange = (server: Endpoint, message: Query, patience: number, signal: AbortSignal) => Promise<Outcome>;

/** The socket is connected, so that the kernel drops what others send, and tells when nobody listens there. */
const overUdp: Exchange = async (server, message, patience, signal) => {
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
const overTcp: Exchange = async (server, message, patience, signal) => {
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

/** Starts an exchange and waits until it settles, fails, has lasted too long or is aborted. */
function outcomeOf(
  patience: number,
  signal: AbortSignal,
  start: (settle: (outcome: Outcome) => void, fail: (cause: unknown) => void) => void,
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const abort = (): void => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const settle = (outcome: Outcome): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
      resolve(outcome);
    };
    const fail = (cause: unknown): void => settle({ type: 'unreachable', cause });
    const timer = setTimeout(() => settle({ type: 'silent' }), Math.max(patience, 0));
    signal.addEventListener('abort', abort, { once: true });
    try {
      start(settle, fail);
    } catch (cause) {
      fail(cause);
    }
  });
}

function failure(name: string, complaints: ReadonlyMap<Endpoint, Complaint>): ResolveError {
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
