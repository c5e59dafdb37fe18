import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { once } from 'node:events';
import { setImmediate as immediate, setTimeout as delay } from 'node:timers/promises';
import type { Endpoint } from '../../wire/address.ts';
import type { Line } from '../line.ts';
import { faultOf } from '../sink.ts';
import type { WriteOutcome, Sink } from '../sink.ts';
import { encodeMessage } from './syslog.ts';
import type { Facility } from './syslog.ts';

/**
 * Datagrams sent in one turn of the event loop, so that the receiver, which drops what it cannot read in
 * time, keeps up.
 */
const BURST = 64;
/** Milliseconds to wait for a receiver to refuse a datagram. */
const VERDICT = 200;

/**
 * Syslog over UDP, one datagram per message (RFC 5426). Datagrams are not confirmed, but a host without a
 * listener refuses them; the error is reported with or after a later datagram, and counts as one lost line.
 * From then on a single line is sent at a time, until one is not refused.
 */
export class UdpSink implements Sink {
  readonly #to: Endpoint;
  readonly #facility: Facility;
  #socket: Socket | undefined;
  #error: Error | undefined;
  #refused = false;

  constructor(to: Endpoint, facility: Facility) {
    this.#to = to;
    this.#facility = facility;
  }

  async write(lines: readonly Line[]): Promise<WriteOutcome> {
    let taken = 0;
    try {
      const socket = this.#socket ?? (await this.#connect());
      if (this.#refused) {
        await this.#send(socket, lines[0]!);
        await delay(VERDICT);
        this.#check();
        this.#refused = false;
        taken = 1;
      }
      while (taken < lines.length) {
        this.#check();
        await this.#send(socket, lines[taken]!);
        taken++;
        if (taken % BURST === 0) await immediate();
      }
      return { taken };
    } catch (error) {
      this.close();
      const fault = faultOf(error);
      const lost = fault === 'ECONNREFUSED' && !this.#refused ? 1 : 0;
      this.#refused ||= fault === 'ECONNREFUSED';
      return { taken, lost, fault };
    }
  }

  close(): void {
    this.#socket?.close();
    this.#socket = undefined;
  }

  async #connect(): Promise<Socket> {
    this.#error = undefined;
    const socket = createSocket(this.#to.host.includes(':') ? 'udp6' : 'udp4');
    socket.on('error', (error) => (this.#error = error));
    socket.connect(this.#to.port, this.#to.host);
    this.#socket = socket;
    await once(socket, 'connect');
    return socket;
  }

  #send(socket: Socket, line: Line): Promise<void> {
    return new Promise((resolve, reject) => {
      socket.send(encodeMessage(line, this.#facility), (error) =>
        error === null ? resolve() : reject(error),
      );
    });
  }

  /** Throws the error that an earlier datagram caused. */
  #check(): void {
    const error = this.#error;
    this.#error = undefined;
    if (error !== undefined) throw error;
  }
}
