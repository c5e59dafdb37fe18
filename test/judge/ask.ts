import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { ConnectionRecord } from '../../src/audit/record.ts';
import type { Server } from '../../src/server/server.ts';
import type { Protocol } from '../../src/policy/policy.ts';
import type { Endpoint } from '../../src/wire/address.ts';
import { formatAddress } from '../../src/wire/address.ts';
import { Datagrams } from '../support/datagrams.ts';
import { PATIENCE } from '../support/process.ts';
import {
  address as addressOf,
  Command,
  nameAddress,
  RawClient,
  readAddress,
  request4,
} from '../support/raw.ts';
import type { Drawn } from './draw.ts';
import { PASSWORD } from './world.ts';
import type { Running } from './world.ts';

/** With the actual port. */
export type Request = Drawn & { readonly port: number };

/** The result for a client. */
export interface Heard {
  /** The protocol's own code, for HTTP the status; `undefined` if there was no reply to a request. */
  readonly reply: number | undefined;
  /** Whether the datagram of an association came back. */
  readonly answered: boolean;
  readonly record: ConnectionRecord;
}

/** The records of a server, by client. */
export class Records {
  readonly #awaited = new Map<string, PromiseWithResolvers<ConnectionRecord>>();

  /** The hook of the server. */
  readonly take = (record: ConnectionRecord): void => this.#at(record.client).resolve(record);

  async of(client: string): Promise<ConnectionRecord> {
    const { promise } = this.#at(client);
    const late = delay(PATIENCE, undefined, { ref: false }).then(() => {
      throw new Error(`no record of ${client}`);
    });
    const record = await Promise.race([promise, late]);
    // Another client can have this port soon.
    this.#awaited.delete(client);
    return record;
  }

  #at(client: string): PromiseWithResolvers<ConnectionRecord> {
    const known = this.#awaited.get(client) ?? Promise.withResolvers<ConnectionRecord>();
    this.#awaited.set(client, known);
    return known;
  }
}

/** A new connection, on which nothing has been sent. */
export function dial(listener: Endpoint, { from }: Drawn): Promise<RawClient> {
  return RawClient.connect(listener, listener.host.includes(':') ? '::1' : `127.0.0.${from}`);
}

/**
 * Sends a request, and waits for the end of the connection. `sends`: also sends a datagram through the
 * association.
 */
export async function ask(
  client: RawClient,
  request: Request,
  sends: boolean,
  { server }: Running,
  records: Records,
): Promise<Heard> {
  const { address: host, port } = client.socket.address() as AddressInfo;
  const at = formatAddress({ host, port });
  // The request for an association contains the source address of its datagrams, unless it is unspecified.
  using datagrams =
    request.command === 'udp' && !isUnspecified(request.host) ? await Datagrams.bind(host) : undefined;
  const asked = datagrams === undefined ? request : { ...request, host: '0.0.0.0', port: datagrams.port };
  let reply: number | undefined;
  let answered = false;
  try {
    reply = await SPOKEN[request.protocol](client, asked);
    if (sends && reply === 0 && datagrams !== undefined) {
      await datagrams.send(frame(request), await readAddress(client));
      answered = await comesBack(datagrams, server, at);
    }
  } catch (error) {
    // It was closed without a reply.
    if (!/^(ended|read ECONNRESET|write E\w+), waiting/.test((error as Error).message)) throw error;
  }
  client[Symbol.dispose]();
  return { reply, answered, record: await records.of(at) };
}

/** Waits until a datagram has come back, or is counted as dropped. */
async function comesBack(datagrams: Datagrams, server: Server, client: string): Promise<boolean> {
  for (const end = performance.now() + PATIENCE; performance.now() < end; await delay(1)) {
    if (datagrams.waiting > 0) return true;
    const record = (await server.sessions()).find((one) => one.client === client);
    assert.ok(record, 'the association is over');
    if (record.dropped !== undefined) return false;
  }
  throw new Error('a datagram was neither answered nor dropped');
}

export function isUnspecified(host: string): boolean {
  return host === '0.0.0.0' || host === '::' || host === '';
}

type Speak = (client: RawClient, request: Request) => Promise<number | undefined>;

const SPOKEN: Readonly<Record<Protocol, Speak>> = {
  async socks5(client, request) {
    const methods = request.user === null ? [0] : request.offersNone ? [2, 0] : [2];
    client.send(Buffer.of(5, methods.length, ...methods));
    const [, method] = await client.read(2);
    if (method === 255) return undefined;
    if (method === 2) {
      const [name, password] = [Buffer.from(request.user!), Buffer.from(PASSWORD)];
      client.send(Buffer.concat([Buffer.of(1, name.length), name, Buffer.of(password.length), password]));
      if ((await client.read(2))[1] !== 0) return undefined;
    }
    client.send(Buffer.concat([Buffer.of(5, COMMANDS[request.command], 0), address(request)]));
    return (await client.read(3))[1];
  },
  async socks4(client, { command, host, port, byName }) {
    const isNamed = byName || isIP(host) !== 4;
    client.send(isNamed ? named4(COMMANDS[command], host, port) : request4(COMMANDS[command], host, port));
    return (await client.read(8))[1];
  },
  async http(client, { user, host, port }) {
    const at = `${host.includes(':') && !host.startsWith('[') ? `[${host}]` : host}:${port}`;
    const shown = Buffer.from(`${user}:${PASSWORD}`).toString('base64');
    const login = user === null ? '' : `Proxy-Authorization: Basic ${shown}\r\n`;
    client.send(Buffer.from(`CONNECT ${at} HTTP/1.1\r\nHost: ${at}\r\n${login}\r\n`));
    return Number((await client.read(12)).toString().slice(9));
  },
};

const COMMANDS = {
  connect: Command.connect,
  bind: Command.bind,
  udp: Command.associate,
  resolve: Command.resolve,
} as const;

function address({ host, port, byName }: Request): Buffer {
  return byName ? nameAddress(host, port) : addressOf(host, port);
}

function frame(request: Request): Buffer {
  return Buffer.concat([Buffer.of(0, 0, 0), address(request), Buffer.from('there and back')]);
}

function named4(command: number, host: string, port: number): Buffer {
  return Buffer.concat([
    Buffer.of(4, command, port >> 8, port & 255, 0, 0, 0, 1, 0),
    Buffer.from(`${host}\0`),
  ]);
}
