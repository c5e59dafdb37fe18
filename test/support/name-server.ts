import {
  decode,
  encode,
  RECURSION_AVAILABLE,
  type Answer,
  type Packet,
  type RecordType,
  type StringAnswer,
} from 'dns-packet';
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import type { Endpoint } from '../../src/wire/address.ts';

/** A received query. */
export interface Asked {
  readonly over: 'udp' | 'tcp';
  readonly id: number;
  readonly name: string;
  readonly type: RecordType;
  readonly edns: boolean;
  readonly from: Endpoint;
}

/** Returns the messages to send back, in this order; none for silence. */
export type Script = (asked: Asked) => readonly Buffer[] | Promise<readonly Buffer[]>;

export interface NameServer extends AsyncDisposable {
  readonly endpoint: Endpoint;
  readonly asked: readonly Asked[];
}

/**
 * A name server on a port of 127.0.0.1, over UDP and TCP, that answers by the script. Over TCP it adds the
 * length prefix and sends in pieces.
 */
export async function startNameServer(script: Script): Promise<NameServer> {
  const [udp, tcp] = await bindBoth(10);
  const asked: Asked[] = [];
  const open = new Set<Socket>();
  const answer = async (bytes: Buffer, over: Asked['over'], from: Endpoint): Promise<readonly Buffer[]> => {
    const { id = 0, questions = [], additionals = [] } = decode(bytes);
    const { name, type } = questions[0]!;
    const edns = additionals.some((record) => record.type === 'OPT');
    asked.push({ over, id, name, type, edns, from });
    return script(asked.at(-1)!);
  };
  const answerDatagram = async (bytes: Buffer, from: Endpoint): Promise<void> => {
    for (const message of await answer(bytes, 'udp', from)) {
      await new Promise((sent) => udp.send(message, from.port, from.host, sent));
    }
  };
  const answerStream = async (bytes: Buffer, socket: Socket): Promise<void> => {
    const from = { host: socket.remoteAddress!, port: socket.remotePort! };
    for (const message of await answer(bytes.subarray(2), 'tcp', from)) {
      const length = Buffer.from([message.length >>> 8, message.length & 255]);
      for (const piece of [
        length.subarray(0, 1),
        length.subarray(1),
        message.subarray(0, 5),
        message.subarray(5),
      ]) {
        await new Promise((sent) => socket.write(piece, sent));
      }
    }
    socket.end();
  };
  udp.on('message', (bytes, from) => void answerDatagram(bytes, { host: from.address, port: from.port }));
  tcp.on('connection', (socket) => {
    open.add(socket);
    socket.on('error', () => undefined); // the other side may close at any time
    socket.once('data', (bytes: Buffer) => void answerStream(bytes, socket));
  });
  return {
    endpoint: { host: '127.0.0.1', port: udp.address().port },
    asked,
    [Symbol.asyncDispose]: async () => {
      for (const socket of open) socket.destroy();
      udp.close();
      tcp.close();
      await Promise.all([once(udp, 'close'), once(tcp, 'close')]);
    },
  };
}

/** The content of a response; `question` overrides that of the query. */
export interface Says extends Packet {
  readonly rcode?: number;
  readonly question?: { readonly name?: string; readonly type?: 'A' | 'AAAA' };
}

/** The response to a query: its id and question with these records, flags and RCODE. */
export function response(asked: Asked, says: Says = {}): Buffer {
  const { rcode = 0, question = {}, flags = 0, ...sections } = says;
  return encode({
    type: 'response',
    id: asked.id,
    flags: flags | RECURSION_AVAILABLE | rcode,
    questions: [{ name: asked.name, type: asked.type, ...question }],
    ...sections,
  });
}

export function address(name: string, data: string, ttl = 60): StringAnswer {
  return { name, type: data.includes(':') ? 'AAAA' : 'A', class: 'IN', ttl, data };
}

export function alias(name: string, data: string, ttl = 60): Answer {
  return { name, type: 'CNAME', class: 'IN', ttl, data };
}

/** An SRV record. */
export function service(
  name: string,
  target: string,
  port: number,
  { priority = 0, weight = 0, ttl = 60 }: { priority?: number; weight?: number; ttl?: number } = {},
): Answer {
  return { name, type: 'SRV', class: 'IN', ttl, data: { target, port, priority, weight } };
}

/** The record of a negative answer that determines how long it may be cached. */
export function authority(minimum: number, ttl = 3600): Answer {
  const data = { mname: 'ns.test', rname: 'admin.test', minimum };
  return { name: 'test', type: 'SOA', class: 'IN', ttl, data };
}

/**
 * Two sockets on one port. TCP first: its ports may be in TIME_WAIT, while few UDP ports are taken; another
 * program may still have the port, so it is tried again.
 */
async function bindBoth(tries: number): Promise<[UdpSocket, Server]> {
  const tcp = createServer();
  tcp.listen(0, '127.0.0.1');
  await once(tcp, 'listening');
  const udp = createSocket('udp4');
  try {
    udp.bindSync({ address: '127.0.0.1', port: (tcp.address() as AddressInfo).port });
    return [udp, tcp];
  } catch (error) {
    udp.close();
    tcp.close();
    if (tries === 1) throw error;
    return bindBoth(tries - 1);
  }
}
