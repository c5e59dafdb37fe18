import type { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { connect, createSecureContext } from 'node:tls';
import type { SecureContext, TLSSocket } from 'node:tls';
import { LruMap } from '../limits/lru-map.ts';
import type { Connection, Engine } from '../net/engine.ts';
import { systemAuthorities } from '../tls/authorities.ts';
import { codeOf } from '../wire/error-code.ts';
import { decodeAlert, encodeAlert } from '../wire/tls-alert.ts';
import { adviceOnServer, alertCode, alertOn, serverFault } from '../tls/certificate.ts';
import type { Expected } from '../tls/certificate.ts';
import { guard, HOLDS_LITTLE } from '../tls/guard.ts';
import { UpstreamError } from './error.ts';
import type { UpstreamCode } from './error.ts';
import type { LinkOptions, ServerOptions } from './options.ts';

/** Servers for which a ticket is kept. */
const TICKETS = 64;

/** Called when a certificate is wrong: the server, the code for the record, and advice in words. */
export type LinkFailed = (server: string, fault: { readonly code: string; readonly advice: string }) => void;

/** A resumable session, with the server's certificate: a resumed handshake does not show it again. */
interface Ticket {
  readonly session: Buffer;
  readonly certificate: X509Certificate;
}

/** State shared by links with the same options. */
interface Kept {
  readonly context: SecureContext;
  /** By server, the newest last. */
  readonly tickets: LruMap<Ticket>;
}

/**
 * Encrypted links to servers, and their tickets. New options start without tickets, so no session outlives a
 * change of CA, pin or key.
 */
export class Links {
  readonly #failed: LinkFailed;
  readonly #kept = new WeakMap<LinkOptions, Kept>();

  constructor(failed: LinkFailed) {
    this.#failed = failed;
  }

  /** Begins a link over a connection, and takes ownership of it. */
  begin(below: Connection, server: ServerOptions, options: LinkOptions, engine: Engine): Link {
    let kept = this.#kept.get(options);
    if (kept === undefined) {
      kept = { context: contextOf(options), tickets: new LruMap(TICKETS) };
      this.#kept.set(options, kept);
    }
    return new Link(below, server, options, kept, engine, this.#failed);
  }
}

/** TLS over a connection to a server. */
export class Link {
  /** The plain side of the link; it can be written to and destroyed right from the start. */
  readonly connection: Connection;
  readonly #tls: TLSSocket;
  readonly #label: string;
  readonly #expected: Expected;
  readonly #tickets: LruMap<Ticket>;
  readonly #failed: LinkFailed;
  /** The server's, once it has been verified. */
  #certificate: X509Certificate | undefined;
  #fault: UpstreamCode | undefined;
  /** An alert that the server sent in place of its first message. */
  #refusal: UpstreamCode | undefined;

  constructor(
    below: Connection,
    { label, protocol, at }: ServerOptions,
    { name = at.host, ca, pins }: LinkOptions,
    { context, tickets }: Kept,
    engine: Engine,
    failed: LinkFailed,
  ) {
    this.#label = label;
    this.#expected = { name, pins, issued: ca !== undefined || pins === undefined };
    this.#tickets = tickets;
    this.#failed = failed;
    const carrier = below.detach();
    const ticket = this.#ticket();
    const tls = connect({
      socket: carrier,
      secureContext: context,
      host: name,
      ...(isIP(name) === 0 && { servername: name }),
      ALPNProtocols: [protocol === 'http' ? 'http/1.1' : 'socks'],
      // The certificate is verified below, that of a resumed session too.
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
      ...(ticket !== undefined && { session: ticket.session }),
      ...HOLDS_LITTLE,
    });
    this.#tls = tls;
    guard(tls, carrier);
    tls.once('secureConnect', () => this.#judge(ticket));
    tls.on('session', (session) => this.#keep(session));
    tls.once('data', (first: Buffer) => {
      const alert = decodeAlert(first);
      if (alert !== undefined) this.#refusal = `alert-${alert}`;
    });
    this.connection = engine.adopt(tls, below.local, below.remote, tls);
  }

  /**
   * Resolves when the server's certificate has been verified. Rejects with an UpstreamError, or with the
   * reason for which the link was destroyed.
   */
  async secured(): Promise<void> {
    const tls = this.#tls;
    await new Promise<void>((resolve) => tls.once('secureConnect', resolve).once('close', resolve));
    const fault = this.#fault;
    if (fault !== undefined) {
      await new Promise<void>((resolve) =>
        tls.once('close', resolve).end(encodeAlert(alertOn(fault)), resolve),
      );
      throw new UpstreamError('unreachable', this.#label, fault);
    }
    if (this.#certificate !== undefined) return;
    throw (await this.#loss()) ?? new UpstreamError('unreachable', this.#label, 'closed');
  }

  /**
   * Turns an error of this link that was caused by a wrong certificate, on either side, into one that says
   * so, and reports it.
   */
  explained(error: unknown): unknown {
    if (!(error instanceof UpstreamError) || !(error.trouble === 'unreachable' || error.trouble === 'silent'))
      return error;
    const code = this.#refusal ?? (alertCode(error.code) as UpstreamCode);
    const advice = adviceOnServer(code);
    if (advice !== undefined) this.#failed(this.#label, { code, advice });
    return code === error.code
      ? error
      : new UpstreamError('unreachable', this.#label, code, undefined, error);
  }

  /** A ticket for resumption, unless its certificate is no longer acceptable. */
  #ticket(): Ticket | undefined {
    const ticket = this.#tickets.get(this.#label);
    if (ticket === undefined) return undefined;
    if (serverFault(ticket.certificate, undefined, this.#expected) === undefined) return ticket;
    this.#tickets.delete(this.#label);
    return undefined;
  }

  #judge(ticket: Ticket | undefined): void {
    const tls = this.#tls;
    const certificate = tls.isSessionReused() ? ticket?.certificate : tls.getPeerX509Certificate();
    const chain = tls.authorizationError as unknown;
    this.#fault =
      certificate === undefined
        ? 'no-certificate'
        : (serverFault(
            certificate,
            typeof chain === 'string' ? chain : undefined,
            this.#expected,
          ) as UpstreamCode);
    if (this.#fault === undefined) this.#certificate = certificate;
  }

  #keep(session: Buffer): void {
    if (this.#certificate === undefined) return;
    this.#tickets.set(this.#label, { session, certificate: this.#certificate });
  }

  /** Why the connection was lost; `undefined` when the server has ended it. */
  async #loss(): Promise<unknown> {
    try {
      await this.connection.read();
      return undefined;
    } catch (error) {
      const code = codeOf(error);
      return error instanceof UpstreamError || code === undefined
        ? error
        : new UpstreamError('unreachable', this.#label, code, undefined, error);
    }
  }
}

function contextOf({ ca, cert, key, pins }: LinkOptions): SecureContext {
  return createSecureContext({
    minVersion: 'TLSv1.3',
    ca: ca ?? (pins === undefined ? systemAuthorities() : []),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
  });
}
