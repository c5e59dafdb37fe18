import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import type { Endpoint } from '../../wire/address.ts';
import type { Line } from '../line.ts';
import { faultOf } from '../sink.ts';
import type { WriteOutcome, Sink } from '../sink.ts';
import { sendAll } from './send.ts';
import { encodeMessage } from './syslog.ts';
import type { Facility } from './syslog.ts';

/** Milliseconds for the receiver to accept a connection, or to take any of the data sent. */
const PATIENCE = 10_000;

/**
 * Syslog over TCP with octet counting (RFC 6587, 3.4.1). Lines in flight when the connection breaks are sent
 * again.
 */
export class TcpSink implements Sink {
  readonly #to: Endpoint;
  readonly #facility: Facility;
  #socket: Socket | undefined;

  constructor(to: Endpoint, facility: Facility) {
    this.#to = to;
    this.#facility = facility;
  }

  async write(lines: readonly Line[]): Promise<WriteOutcome> {
    try {
      const socket = this.#socket ?? (await this.#connect());
      await sendAll(socket, Buffer.concat(lines.flatMap((line) => frame(line, this.#facility))));
      return { taken: lines.length };
    } catch (error) {
      this.close();
      return { taken: 0, fault: faultOf(error) };
    }
  }

  close(): void {
    // Data already passed to the system is still delivered.
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  async #connect(): Promise<Socket> {
    const socket = connect({ host: this.#to.host, port: this.#to.port, timeout: PATIENCE, keepAlive: true });
    this.#socket = socket;
    socket.on('timeout', () => {
      if (socket.connecting || socket.writableLength > 0) socket.destroy(timedOut());
    });
    // The error is reported by the write or connect that it fails.
    socket.on('error', () => {});
    socket.on('close', () => {
      if (this.#socket === socket) this.#socket = undefined;
    });
    // No data is expected, but without reading, the end of the stream would go unnoticed.
    socket.resume();
    await once(socket, 'connect');
    return socket;
  }
}

function frame(line: Line, facility: Facility): Buffer[] {
  const message = encodeMessage(line, facility);
  return [Buffer.from(`${message.length} `), message];
}

function timedOut(): Error {
  return Object.assign(new Error('nothing was accepted for too long'), { code: 'ETIMEDOUT' });
}
