import { createSecureContext } from 'node:tls';
import type { ConnectionOptions, SecureContext } from 'node:tls';
import { systemAuthorities } from './authorities.ts';
import type { Channel, WithId } from './channel.ts';
import { outcomeOf, type Outcome } from './outcome.ts';
import { HttpsChannel } from './over-https.ts';
import { TlsChannel } from './over-tls.ts';
import type { NameServer } from './system.ts';

/** The channels to encrypted name servers, at most one for each, opened when there is something to ask. */
export class Channels implements Disposable {
  readonly #channels = new Map<NameServer, Channel>();
  readonly #ca: readonly string[] | undefined;
  #context: SecureContext | undefined;

  /** `ca`: who may have issued the certificates. @default the system's */
  constructor(ca?: readonly string[]) {
    this.#ca = ca;
  }

  async exchange(
    server: NameServer,
    withId: WithId,
    patience: number,
    signal: AbortSignal,
  ): Promise<Outcome> {
    const deadline = performance.now() + patience;
    for (;;) {
      const known = this.#channels.get(server);
      const channel = known?.isOpen === true ? known : this.#open(server);
      let giveUp: (() => void) | undefined;
      try {
        const outcome = await outcomeOf(deadline - performance.now(), signal, (settle, fail) => {
          giveUp = channel.ask(withId, settle, fail);
        });
        // A server may close what was idle just when it is needed again.
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

  #open(server: NameServer): Channel {
    this.#context ??= createSecureContext({ ca: [...(this.#ca ?? systemAuthorities())] });
    const { host, port, encrypted } = server;
    const options: ConnectionOptions = {
      host,
      port,
      secureContext: this.#context,
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
