import { Journal } from '../../src/audit/journal.ts';
import { Log } from '../../src/audit/log.ts';
import { isEnd } from '../../src/audit/record.ts';
import type { ConnectionRecord } from '../../src/audit/record.ts';
import type { LogEntry } from '../../src/audit/line.ts';
import type { Authentication } from '../../src/auth/identity.ts';
import type { RequestEvent } from '../../src/handshake/protocol.ts';
import { ServerHandshake } from '../../src/handshake/server.ts';
import { Limits } from '../../src/limits/limits.ts';
import { Spare } from '../../src/limits/spare.ts';
import { compile } from '../../src/policy/compile.ts';
import { ResolveError } from '../../src/resolve/error.ts';
import type { RoutedPermit } from '../../src/route/judge.ts';
import { Outbound } from '../../src/route/outbound.ts';
import type { OutboundClient } from '../../src/route/outbound.ts';
import { serve } from '../../src/server/connection.ts';
import { receiveRequest } from '../../src/server/handshake.ts';
import type { Decide } from '../../src/server/hooks.ts';
import { Associations } from '../../src/server/limits/associations.ts';
import { Bandwidths } from '../../src/server/limits/bandwidths.ts';
import { ConnectionLimits } from '../../src/server/limits/connections.ts';
import { MemoryWatch } from '../../src/server/limits/memory.ts';
import { Quotas } from '../../src/server/limits/quotas.ts';
import { listenerName } from '../../src/server/listen/listeners.ts';
import type { OpenListener } from '../../src/server/listen/listeners.ts';
import { OwnPorts } from '../../src/server/listen/own-ports.ts';
import { RelayPorts } from '../../src/server/listen/relay-ports.ts';
import { SharedPorts } from '../../src/server/listen/shared-ports.ts';
import { recheckUsers } from '../../src/server/session/recheck.ts';
import type { Session } from '../../src/server/session/session.ts';
import { Sessions } from '../../src/server/session/sessions.ts';
import type { ServerState } from '../../src/server/session/state.ts';
import type { Settings } from '../../src/server/settings.ts';
import { createSharedMemory } from '../../src/server/thread-memory.ts';
import { formatIp, parseIp } from '../../src/wire/ip.ts';
import type { Ip } from '../../src/wire/ip.ts';
import { MemoryClient } from './memory-client.ts';
import { MemoryConnection } from './memory-connection.ts';
import { MemoryEngine } from './memory-engine.ts';
import { settingsOf } from './settings.ts';
import type { ServerConfig } from './settings.ts';

/** The address of the server, and the default address of clients. */
export const SERVER = '192.0.2.1';
export const CLIENT = '198.51.100.7';

/** A configuration with one rule. */
export const OPEN: Partial<ServerConfig> = {
  listen: [{ address: '127.0.0.1:0', methods: ['none', 'password'] }],
  rules: [{ name: 'some', allow: 'any', to: ['203.0.113.0/24', 'loopback'] }],
};

/** A back end with the user alice, whose password is secret. */
export const ALICE: Authentication = {
  verify: async (user, password) =>
    user === 'alice' && password === 'secret'
      ? { ok: true, identity: { user, groups: [] } }
      : { ok: false, reason: 'wrong' },
};

/** RSV, ATYP, BND.ADDR and BND.PORT of a refusal. */
const nothing = '00 01 00 00 00 00 00 00';
/** A SOCKS5 dialogue that ends in this reply. */
export const refused = (code: string): string => `05 00 05 ${code} ${nothing}`;
/** The refusal of SOCKS4. */
export const rejected = '00 5b 00 00 00 00 00 00';

export interface SceneOptions {
  /** @default a new one without listeners */
  readonly engine?: MemoryEngine;
  /** The addresses of a name. @default no name is known */
  readonly lookUp?: LookUp;
  /** The name of an address. @default none has a name */
  readonly nameOf?: (address: string) => string | undefined;
  readonly authenticator?: Authentication;
  readonly decide?: Decide;
}

type LookUp = (name: string) => readonly string[] | undefined | Promise<readonly string[] | undefined>;

/** The client's end of a connection, and the state of its session and handshake. */
export interface Asked {
  readonly client: MemoryClient;
  readonly session: Session;
  readonly handshake: ServerHandshake;
  readonly request: RequestEvent;
}

/** The state of a server without a process, sockets or listeners; clients are passed to it directly. */
export class ServerScene implements Disposable {
  readonly engine: MemoryEngine;
  readonly state: ServerState;
  readonly records: ConnectionRecord[] = [];
  readonly log: LogEntry[] = [];
  /** The bytes used of every quota. */
  used = 0;
  readonly listener: OpenListener;
  readonly #memory: MemoryWatch;
  readonly #options: SceneOptions;

  constructor(config: Partial<ServerConfig>, options: SceneOptions = {}) {
    const settings = settingsFor(config, options);
    const engine = options.engine ?? new MemoryEngine();
    const memory = createSharedMemory();
    const limits = new Limits(memory.limits);
    const log = new Log(settings.log, { reader: (entry) => this.log.push(entry) });
    const journal = new Journal(log);
    journal.subscribe({
      take: (record, event) => {
        if (isEnd(event)) this.records.push(record);
      },
    });
    const quotas = new Quotas({ used: () => this.used, add: () => undefined });
    const sessions = new Sessions({ log, journal }, limits, quotas, 4);
    const ports = new OwnPorts(memory.ports);
    this.engine = engine;
    this.#options = options;
    this.#memory = new MemoryWatch(undefined, sessions, log);
    this.state = {
      engine,
      ports,
      relayPorts: new RelayPorts(engine),
      sharedPorts: new SharedPorts(engine, ports),
      sessions,
      limits,
      connections: new ConnectionLimits(
        settings.limits,
        limits,
        { waiting: memory.waiting, threads: 1 },
        this.#memory,
      ),
      bandwidths: new Bandwidths(limits),
      quotas,
      associations: new Associations(() => 100_000),
      log,
      policy: compile(settings.policy),
      decisions: 0,
      outbound: new SceneOutbound(engine, ports, settings, options),
      timeouts: settings.timeouts,
      authenticator: options.authenticator,
      decide: options.decide,
    };
    this.state.bandwidths.use(this.state.policy);
    const [listener] = settings.listeners;
    this.listener = {
      settings: listener!,
      name: listenerName(listener!),
      balancers: undefined,
      tls: undefined,
      place: `${SERVER}:1080`,
      local: { host: SERVER, port: 1080 },
      fd: undefined,
      close: async () => {},
    };
  }

  /** Applies other settings, except those of the listener. */
  async reload(config: Partial<ServerConfig>): Promise<void> {
    const settings = settingsFor(config, this.#options);
    const { state } = this;
    state.policy = compile(settings.policy);
    state.bandwidths.use(state.policy);
    state.timeouts = settings.timeouts;
    state.connections.use(settings.limits);
    state.outbound.use(settings);
    state.decisions++;
    await recheckUsers(state);
  }

  /** Opens a client's connection without serving it. */
  open(from: string = CLIENT): Pick<Asked, 'client' | 'session'> {
    const [client, near] = this.#connection(from);
    return { client, session: this.state.sessions.open(near, this.listener) };
  }

  /** Opens a client's connection, and processes it up to the request. */
  async ask(bytes: Uint8Array, from?: string): Promise<Asked> {
    const { client, session } = this.open(from);
    const handshake = new ServerHandshake({ protocols: this.listener.settings.protocols });
    client.send(...(bytes[0] === 5 ? ['05 01 00'] : []), bytes);
    const { methods } = this.listener.settings;
    const request = await receiveRequest(session, handshake, methods, this.state);
    if (bytes[0] === 5) await client.expect('05 00');
    session.requestReceived(request.protocol, String(request.command), request.destination);
    return { client, session, handshake, request };
  }

  /** Serves clients that connect there in the engine. */
  async listen(host: string, port: number): Promise<void> {
    await this.engine.listen({ host, port }, (client) => void serve(client, this.listener, this.state));
  }

  /** A client that is served until its connection ends. */
  serve(from: string = CLIENT): MemoryClient {
    const [client, near] = this.#connection(from);
    void serve(near, this.listener, this.state);
    return client;
  }

  /** The next record. */
  async record(): Promise<ConnectionRecord> {
    while (this.records.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    return this.records.shift()!;
  }

  /** The end in the next record. */
  async end(): Promise<string | undefined> {
    return (await this.record()).end;
  }

  [Symbol.dispose](): void {
    this.#memory[Symbol.dispose]();
    this.state.outbound.close();
    this.state.quotas[Symbol.dispose]();
    this.state.associations[Symbol.dispose]();
  }

  #connection(from: string): readonly [MemoryClient, MemoryConnection] {
    const to = { host: from.includes(':') ? '2001:db8::1' : SERVER, port: 1080 };
    const [far, near] = MemoryConnection.pair({ host: from, port: ++this.#port }, to);
    return [new MemoryClient(far), near];
  }

  #port = 50_000;
}

/** Sends no queries. */
class SceneOutbound extends Outbound {
  readonly #names: Pick<SceneOptions, 'lookUp' | 'nameOf'>;

  constructor(
    engine: MemoryEngine,
    ports: OwnPorts,
    settings: Settings,
    names: Pick<SceneOptions, 'lookUp' | 'nameOf'>,
  ) {
    super(
      {
        engine,
        spare: new Spare(100),
        isOwnPort: (ip, port) => ports.isOwnPort(ip, port, 'tcp'),
      },
      settings,
    );
    this.#names = names;
  }

  override async lookUp(name: string): Promise<readonly Ip[]> {
    const addresses = await this.#names.lookUp?.(name);
    if (addresses === undefined) throw new ResolveError('ENOTFOUND', name);
    return addresses.map((address) => parseIp(address)!);
  }

  override async reverse(routed: RoutedPermit, client: OutboundClient, deadline: number): Promise<string> {
    if (routed.route.passesNames) return super.reverse(routed, client, deadline);
    const address = formatIp(routed.permit.addresses[0]!);
    const name = this.#names.nameOf?.(address);
    if (name === undefined) throw new ResolveError('ENOTFOUND', address);
    return name;
  }
}

function settingsFor(config: Partial<ServerConfig>, { authenticator }: SceneOptions): Settings {
  const whole = {
    listen: [{ address: '127.0.0.1:0' }],
    log: { level: 'debug' },
    rules: [{ allow: 'any', to: ['any', 'loopback'] }],
    ...config,
  };
  return settingsOf(whole, authenticator !== undefined);
}
