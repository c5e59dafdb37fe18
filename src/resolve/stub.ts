import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import type { WithId } from './channel.ts';
import type { EdnsMemory } from './edns.ts';
import type { Channels } from './encrypted.ts';
import { withTimeout } from '../limits/timeout.ts';
import { ResolveError } from './error.ts';
import { decodeReply, encodeQuery, type Query, type QueryType, type Records } from './message.ts';
import { outcomeOf, unconnected, type QueryOutcome } from './outcome.ts';
import type { Outlet } from './outlet.ts';
import type { NameServer, NameServers } from './system.ts';

/**
 * Asks the servers in turn until one has an answer. The next one is asked when a server fails, refuses,
 * cannot be reached or is silent; only silent ones are asked again. Ends within `timeout` milliseconds.
 * Rejects with a ResolveError (ESERVFAIL, ETIMEOUT) or with the signal's reason.
 */
export async function query(
  name: string,
  type: QueryType,
  from: NameServers,
  timeout: number,
  { channels, memory }: Means,
  signal: AbortSignal,
): Promise<Records> {
  const patience = Math.min(from.patience, timeout / (from.attempts * from.servers.length));
  const complaints = new Map<NameServer, Complaint>();
  for (let attempt = 0; attempt < from.attempts; attempt++) {
    for (const server of from.servers) {
      const before = complaints.get(server);
      if (before !== undefined && before.type !== 'silent') continue;
      // A silent server has already been asked with and without EDNS.
      const isFirst = before === undefined || server.encrypted !== undefined;
      const edns = isFirst && memory.knows(server) !== false;
      const deadline = performance.now() + patience;
      const outcome = await ask(server, edns, { name, type, deadline, channels, memory, signal });
      if (outcome.type === 'records') return outcome;
      complaints.set(server, outcome);
    }
  }
  throw failure(name, complaints);
}

type Complaint = Exclude<QueryOutcome, Records>;

/** State that all queries of a resolver share. */
export interface Means {
  readonly channels: Channels;
  readonly memory: EdnsMemory;
}

interface Question extends Means {
  readonly name: string;
  readonly type: QueryType;
  /** On the clock of `performance.now`. */
  readonly deadline: number;
  readonly signal: AbortSignal;
}

/** One server's answer: over UDP, over TCP if it is too long, or through its encrypted channel. */
async function ask(server: NameServer, edns: boolean, question: Question): Promise<QueryOutcome> {
  const { channels } = question;
  const { outlet } = channels;
  const byUdp = outlet === undefined ? overUdp : overUdpBy(outlet);
  const exchange: Exchange = server.encrypted === undefined ? byUdp : (...all) => channels.exchange(...all);
  const said = await askBy(exchange, server, edns, question);
  if (said.outcome.type !== 'truncated') return said.outcome;
  const byTcp = outlet === undefined ? overTcp : overTcpBy(outlet);
  return (await askBy(byTcp, server, said.edns, question)).outcome;
}

type Exchange = (
  server: NameServer,
  withId: WithId,
  patience: number,
  signal: AbortSignal,
) => Promise<QueryOutcome>;

/** The outcome of a query, with or without EDNS. */
interface Said {
  readonly outcome: QueryOutcome;
  readonly edns: boolean;
}

/**
 * Asks with EDNS, and without it on any sign that the server does not support it: when it fails or refuses,
 * or has been silent for half the time; both queries then wait for the rest of it. Without EDNS an encrypted
 * query would lose its padding, so there silence, which an attacker on the path could cause, is not a sign.
 */
async function askBy(
  exchange: Exchange,
  server: NameServer,
  edns: boolean,
  { name, type, deadline, memory, signal }: Question,
): Promise<Said> {
  const isEncrypted = server.encrypted !== undefined;
  const stop = new AbortController();
  const stopped = AbortSignal.any([signal, stop.signal]);
  const send = async (withEdns: boolean): Promise<Said> => {
    const withId: WithId = (id) => encodeQuery(id, name, type, withEdns, isEncrypted);
    const outcome = await exchange(server, withId, deadline - performance.now(), stopped);
    return { outcome, edns: withEdns };
  };
  if (!edns) return send(false);
  const first = send(true);
  first.catch(() => {}); // awaited below, or abandoned
  try {
    const half = (deadline - performance.now()) / 2;
    const early = isEncrypted ? await first : await withTimeout(first, half, () => undefined);
    if (early !== undefined && early.outcome.type !== 'failure') {
      if (isAnswer(early.outcome)) memory.note(server, true);
      return early;
    }
    const second = send(false);
    second.catch(() => {});
    const sooner = early ?? (await Promise.race([first, second]));
    const said = isAnswer(sooner.outcome) ? sooner : await (sooner.edns ? second : first);
    if (isAnswer(said.outcome) && !said.edns) memory.note(server, false);
    return said.outcome.type === 'silent' ? sooner : said;
  } finally {
    stop.abort();
  }
}

function isAnswer({ type }: QueryOutcome): boolean {
  return type === 'records' || type === 'truncated';
}

/**
 * Only the id and the source port protect against forged answers (RFC 5452): both are new for every query.
 */
function newQuery(withId: WithId): Query {
  return withId(randomInt(0x1_0000));
}

/**
 * Bytes of a UDP answer. The advertised size is 1232, or 512 without EDNS; no honest server sends more than
 * this.
 */
const MAX_ANSWER_SIZE = 4096;

/**
 * The socket is connected, so that the kernel drops datagrams from other senders, and reports a port without
 * a listener.
 */
const overUdp: Exchange = async (server, withId, patience, signal) => {
  const message = newQuery(withId);
  const socket = createSocket(server.host.includes(':') ? 'udp6' : 'udp4');
  try {
    return await outcomeOf(patience, signal, (settle, fail) => {
      socket.on('error', fail);
      socket.on('message', (bytes) => {
        const reply = decodeReply(bytes, message, MAX_ANSWER_SIZE);
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

const overTcp: Exchange = (server, withId, patience, signal) =>
  overStream(connect(server.port, server.host), newQuery(withId), patience, signal);

/** The same, sent from the egress of a route. */
function overUdpBy(outlet: Outlet): Exchange {
  return (server, withId, patience, signal) => {
    const message = newQuery(withId);
    const decode = (bytes: Buffer): QueryOutcome | undefined => decodeReply(bytes, message, MAX_ANSWER_SIZE);
    return outlet.askByDatagram(server, message, patience, signal, decode);
  };
}

function overTcpBy(outlet: Outlet): Exchange {
  return async (server, withId, patience, signal) => {
    const deadline = performance.now() + patience;
    let stream: Duplex;
    try {
      stream = await outlet.connect(server, patience, signal);
    } catch (cause) {
      return unconnected(cause, signal);
    }
    return overStream(stream, newQuery(withId), deadline - performance.now(), signal);
  };
}

/** RFC 7766: the message with a two-byte length prefix. */
async function overStream(
  socket: Duplex,
  message: Query,
  patience: number,
  signal: AbortSignal,
): Promise<QueryOutcome> {
  try {
    return await outcomeOf(patience, signal, (settle, fail) => {
      const received = Buffer.allocUnsafe(2 + 0xffff);
      let size = 0;
      socket.on('error', fail);
      socket.on('end', () => fail(new Error('connection closed before the response was complete')));
      socket.on('data', (chunk: Buffer) => {
        size += chunk.copy(received, size);
        if (size < 2) return;
        const end = 2 + received.readUInt16BE(0);
        if (size < end) return;
        const reply = decodeReply(received.subarray(2, end), message);
        if (reply === undefined || reply.type === 'truncated') fail(new Error('no response to this query'));
        else settle(reply);
      });
      const length = Buffer.alloc(2);
      length.writeUInt16BE(message.bytes.length);
      socket.write(Buffer.concat([length, message.bytes]));
    });
  } finally {
    socket.destroy();
  }
}

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
