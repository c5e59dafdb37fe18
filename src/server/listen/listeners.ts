import type { Connection, Engine, ListenAt, Listener } from '../../net/engine.ts';
import type { Endpoint } from '../../wire/address.ts';
import type { SourceMatcher } from '../../policy/matchers.ts';
import { sourcesOf } from '../../policy/request-conditions.ts';
import { formatAddress } from '../../wire/address.ts';
import type { Change } from '../change.ts';
import type { OwnPorts } from './own-ports.ts';
import type { ListenerSettings } from '../settings.ts';
import { ActivatedSockets } from './systemd.ts';
import { listenerTls } from './tls-context.ts';
import type { ListenerTls } from './tls-context.ts';

/** An open listener; a reload changes its settings for later connections. */
export interface OpenListener {
  settings: ListenerSettings;
  /** As conditions see it. */
  name: string;
  /** The balancers that must send a PROXY header. */
  balancers: SourceMatcher | undefined;
  /** Present if it uses TLS. */
  tls: ListenerTls | undefined;
  /** In the format of `formatListenAddress`, with the actual port. */
  readonly place: string;
  readonly local: Endpoint;
  /** For other threads. */
  readonly fd: number | undefined;
  readonly close: () => Promise<void>;
}

/** The listeners of one entry of `listen`: systemd may pass several sockets for it. */
interface Group {
  /** As configured. */
  readonly place: string;
  readonly settings: ListenerSettings;
  readonly listeners: readonly OpenListener[];
}

export interface ListenerEvents {
  accepted(client: Connection, listener: OpenListener): void;
  failed(code: string, listener: OpenListener): void;
}

/** A change that also lists the listeners that will be open, each with its future settings. */
export interface ListenersChange extends Change {
  readonly open: readonly (readonly [OpenListener, ListenerSettings])[];
}

/** The listeners of a server. */
export class Listeners {
  readonly #engine: Pick<Engine, 'listen'>;
  readonly #ports: OwnPorts;
  readonly #events: ListenerEvents;
  #groups: Group[] = [];
  /** Created when the first listener requires them. */
  #activated: ActivatedSockets | undefined;

  constructor(engine: Pick<Engine, 'listen'>, ports: OwnPorts, events: ListenerEvents) {
    this.#engine = engine;
    this.#ports = ports;
    this.#events = events;
  }

  get open(): readonly OpenListener[] {
    return this.#groups.flatMap(({ listeners }) => listeners);
  }

  /**
   * Opens the wanted listeners that are not open yet; if one fails, none. Then `commit` applies all settings
   * and closes the listeners that are no longer wanted; `abort` leaves everything as it was.
   */
  async prepare(wanted: readonly ListenerSettings[]): Promise<ListenersChange> {
    const tls = new Map(wanted.map((settings) => [settings, listenerTls(settings)]));
    const left = [...this.#groups];
    const groups: Group[] = [];
    const opened: Group[] = [];
    const abort = (): Promise<void> => closeAll(opened);
    try {
      for (const settings of wanted) {
        const at = left.findIndex((group) => group.place === formatListenAddress(settings.address));
        const [open] = at < 0 ? [] : left.splice(at, 1);
        const group = open ?? (await this.#openGroup(settings));
        if (open === undefined) opened.push(group);
        groups.push({ ...group, settings });
      }
    } catch (error) {
      await abort();
      throw error;
    }
    const open = groups.flatMap(({ settings, listeners }) =>
      listeners.map((listener): [OpenListener, ListenerSettings] => [listener, settings]),
    );
    const commit = async (): Promise<void> => {
      this.#groups = groups;
      for (const [listener, settings] of open) {
        listener.settings = settings;
        listener.name = listenerName(settings);
        listener.balancers = balancersOf(settings);
        listener.tls = tls.get(settings);
      }
      await closeAll(left);
    };
    return { open, commit, abort };
  }

  /** Throws a RangeError when there is none. */
  at(place: string): OpenListener {
    const listener = this.open.find((one) => one.place === place);
    if (listener === undefined) throw new RangeError(`there is no listener at ${place}`);
    return listener;
  }

  async close(): Promise<void> {
    await closeAll(this.#groups.splice(0));
  }

  async #openGroup(settings: ListenerSettings): Promise<Group> {
    const { address } = settings;
    const places = this.#placesOf(address);
    const listeners: OpenListener[] = [];
    try {
      for (const at of places) listeners.push(await this.#listen(at, settings));
    } catch (error) {
      for (const { close } of listeners) await close();
      const told = error as Error;
      if ('activated' in address) told.message = `${formatListenAddress(address)}: ${told.message}`;
      throw told;
    }
    return { place: formatListenAddress(address), settings, listeners };
  }

  #placesOf(address: ListenerSettings['address']): readonly ListenAt[] {
    if ('activated' in address) return (this.#activated ??= new ActivatedSockets()).take(address.activated);
    return ['shared' in address ? { fd: address.shared, shared: true } : address];
  }

  async #listen(at: ListenAt, settings: ListenerSettings): Promise<OpenListener> {
    const held: { open?: OpenListener } = {};
    const listener: Listener = await this.#engine.listen(
      at,
      (client) => this.#events.accepted(client, held.open!),
      (code) => this.#events.failed(code, held.open!),
    );
    const { local, path, fd } = listener;
    const forget =
      path === undefined ? this.#ports.add(local, 'tcp', 'shared' in settings.address) : undefined;
    held.open = {
      settings,
      name: listenerName(settings),
      balancers: balancersOf(settings),
      tls: listenerTls(settings),
      place: path === undefined ? formatAddress(local) : `unix:${path}`,
      local,
      fd,
      close: async () => {
        await listener.close();
        forget?.();
      },
    };
    return held.open;
  }
}

/** `host:port`, `unix:/path` or `systemd:NAME`. */
export function formatListenAddress(address: ListenerSettings['address']): string {
  if ('shared' in address) return address.place;
  if ('path' in address) return `unix:${address.path}`;
  if ('activated' in address) return address.activated === '' ? 'systemd' : `systemd:${address.activated}`;
  return formatAddress(address);
}

/** The name of a listener in conditions: its own, or its address as configured. */
export function listenerName({ name, address }: Pick<ListenerSettings, 'name' | 'address'>): string {
  return name ?? formatListenAddress(address);
}

function balancersOf({ balancers }: ListenerSettings): SourceMatcher | undefined {
  return balancers && sourcesOf({ name: 'proxy-protocol' }, balancers);
}

async function closeAll(groups: readonly Group[]): Promise<void> {
  for (const { listeners } of groups) for (const listener of listeners) await listener.close();
}
