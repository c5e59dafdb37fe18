import type { Connection, Endpoint, Engine, ListenAt, Listener } from '../net/engine.ts';
import { AcceptRule } from '../policy/rule.ts';
import { formatAddress } from '../wire/address.ts';
import type { OwnPorts } from './own-ports.ts';
import type { ListenerSettings } from './settings.ts';
import { activatedSockets } from './systemd.ts';

/** A listener that is open; a reload changes its settings for the connections to come. */
export interface OpenListener {
  settings: ListenerSettings;
  /** Who has to send a PROXY header. */
  balancers: AcceptRule | undefined;
  /** As `formatPlace` writes it, with the port that was taken. */
  readonly place: string;
  readonly local: Endpoint;
  readonly close: () => Promise<void>;
}

export interface ListenerEvents {
  accepted(client: Connection, listener: OpenListener): void;
  failed(code: string, listener: OpenListener): void;
}

/** The listeners of a server. */
export class Listeners {
  readonly #engine: Engine;
  readonly #ports: OwnPorts;
  readonly #events: ListenerEvents;
  #open: OpenListener[] = [];

  constructor(engine: Engine, ports: OwnPorts, events: ListenerEvents) {
    this.#engine = engine;
    this.#ports = ports;
    this.#events = events;
  }

  get open(): readonly OpenListener[] {
    return this.#open;
  }

  /**
   * Opens those of the wanted listeners that are not open yet, or none of them. Then `commit` puts all in force and closes
   * those that are no longer wanted; `abort` leaves everything as it was.
   */
  async prepare(
    wanted: readonly ListenerSettings[],
  ): Promise<{ commit: () => Promise<void>; abort: () => Promise<void> }> {
    const opened: OpenListener[] = [];
    const abort = (): Promise<void> => closeAll(opened);
    try {
      for (const settings of wanted) {
        if (this.#find(settings) === undefined) opened.push(...(await this.#openOne(settings)));
      }
    } catch (error) {
      await abort();
      throw error;
    }
    const commit = async (): Promise<void> => {
      const kept = new Set<OpenListener>();
      for (const settings of wanted) {
        for (const open of this.#all(settings)) {
          open.settings = settings;
          open.balancers = balancersOf(settings);
          kept.add(open);
        }
      }
      const gone = this.#open.filter((open) => !kept.has(open));
      this.#open = [...kept, ...opened];
      await closeAll(gone);
    };
    return { commit, abort };
  }

  async close(): Promise<void> {
    await closeAll(this.#open.splice(0));
  }

  #find(wanted: ListenerSettings): OpenListener | undefined {
    return this.#all(wanted)[0];
  }

  #all({ address }: ListenerSettings): readonly OpenListener[] {
    return this.#open.filter(({ settings }) => formatPlace(settings.address) === formatPlace(address));
  }

  async #openOne(settings: ListenerSettings): Promise<OpenListener[]> {
    const { address } = settings;
    const places: ListenAt[] = 'activated' in address ? activatedSockets(address.activated) : [address];
    const opened: OpenListener[] = [];
    for (const at of places) opened.push(await this.#listen(at, settings));
    return opened;
  }

  async #listen(at: ListenAt, settings: ListenerSettings): Promise<OpenListener> {
    const held: { open?: OpenListener } = {};
    const listener: Listener = await this.#engine.listen(
      at,
      (client) => this.#events.accepted(client, held.open!),
      (code) => this.#events.failed(code, held.open!),
    );
    const { local, path } = listener;
    const forget = path === undefined ? this.#ports.add(local, 'tcp') : undefined;
    held.open = {
      settings,
      balancers: balancersOf(settings),
      place: path === undefined ? formatAddress(local) : `unix:${path}`,
      local,
      close: async () => {
        await listener.close();
        forget?.();
      },
    };
    return held.open;
  }
}

/** `host:port`, `unix:/path` or `systemd:NAME`. */
export function formatPlace(address: ListenerSettings['address']): string {
  if ('path' in address) return `unix:${address.path}`;
  if ('activated' in address) return address.activated === '' ? 'systemd' : `systemd:${address.activated}`;
  return formatAddress(address);
}

function balancersOf({ balancers }: ListenerSettings): AcceptRule | undefined {
  return balancers && new AcceptRule({ name: 'proxy-protocol', allow: true, from: balancers });
}

async function closeAll(listeners: readonly OpenListener[]): Promise<void> {
  for (const listener of listeners) await listener.close();
}
