import type { Duplex } from 'node:stream';
import { createSecureContext } from 'node:tls';
import type { ConnectionOptions, SecureContext } from 'node:tls';
import { systemAuthorities } from '../tls/authorities.ts';
import type { Channel, WithId } from './channel.ts';
import { outcomeOf, unconnected, type QueryOutcome } from './outcome.ts';
import type { Outlet } from './outlet.ts';
import { HttpsChannel } from './over-https.ts';
import { TlsChannel } from './over-tls.ts';
import type { NameServer } from './system.ts';

/** Channels to encrypted name servers, at most one per server, opened when needed. */
export class Channels implements Disposable {
  /** Used to open channels, and to send plain queries. @default the kernel's choice */
  readonly outlet: Outlet | undefined;
  readonly #channels = new Map<NameServer, Channel>();
  /** Channels being opened. */
  readonly #opening = new Map<NameServer, Promise<Channel>>();
  readonly #ca: readonly string[] | undefined;
  #context: SecureContext | undefined;

  /** `ca`: trusted issuers of server certificates. @default the system's */
  constructor(ca?: readonly string[], outlet?: Outlet) {
    this.#ca = ca;
    this.outlet = outlet;
  }

  async exchange(
    server: NameServer,
    withId: WithId,
    patience: number,
    signal: AbortSignal,
  ): Promise<QueryOutcome> {
    const deadline = performance.now() + patience;
    for (;;) {
      const known = this.#channels.get(server);
      let channel: Channel;
      let giveUp: (() => void) | undefined;
      try {
        channel = known?.isOpen === true ? known : await this.#open(server, deadline, signal);
      } catch (cause) {
        return unconnected(cause, signal);
      }
      try {
        const outcome = await outcomeOf(deadline - performance.now(), signal, (settle, fail) => {
          giveUp = channel.ask(withId, settle, fail);
        });
        // A server may close an idle channel just as it is needed again.
        if (outcome.type !== 'unreachable' || channel !== known || channel.isOpen) return outcome;
      } finally {
        giveUp?.();
      }
    }
  }

  close(): void {
    for (const channel of this.#channels.values()) channel.close();
    this.#channels.clear();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #open(server: NameServer, deadline: number, signal: AbortSignal): Channel | Promise<Channel> {
    if (this.outlet === undefined) return this.#begin(server, undefined);
    const under = this.#opening.get(server);
    if (under !== undefined) return under;
    const opening = this.outlet
      .connect(server, deadline - performance.now(), signal)
      .then((socket) => this.#begin(server, socket))
      .finally(() => this.#opening.delete(server));
    this.#opening.set(server, opening);
    return opening;
  }

  #begin(server: NameServer, socket: Duplex | undefined): Channel {
    this.#context ??= createSecureContext({ ca: [...(this.#ca ?? systemAuthorities())] });
    const { host, port, encrypted } = server;
    const options: ConnectionOptions = {
      host,
      port,
      secureContext: this.#context,
      ...(socket !== undefined && { socket }),
      ...(encrypted?.name !== undefined && { servername: encrypted.name }),
    };
    const channel =
      encrypted?.path === undefined
        ? new TlsChannel(options)
        : new HttpsChannel(options, encrypted.name ?? host, encrypted.path);
    this.#channels.set(server, channel);
    return channel;
  }
}
