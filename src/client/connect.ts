import { lookup } from 'node:dns/promises';
import { connect as connectTcp } from 'node:net';
import type { Socket } from 'node:net';
import { ClientSession } from '../handshake/client.ts';
import type { ClientSessionOptions } from '../handshake/protocol.ts';
import { addressOf } from '../wire/address.ts';
import type { Address } from '../wire/address.ts';
import { Command } from '../wire/socks5.ts';
import { ProxyError } from './error.ts';
import { parseProxy } from './proxy.ts';
import type { Proxy } from './proxy.ts';

export interface ConnectOptions {
  /** `socks5h://user:password@host:1080`, or its parts. */
  readonly proxy: string | Proxy;
  /** A name or a literal address. */
  readonly host: string;
  readonly port: number;
  /** Milliseconds until the destination is reached, in all. @default 30_000 */
  readonly timeout?: number;
  readonly signal?: AbortSignal;
}

/**
 * Connects to a host through a SOCKS server (CONNECT). What the destination has said already is the first thing that the
 * socket gives. Rejects with a ProxyError, a WireError, Node's error, or the signal's reason.
 */
export async function connect(options: ConnectOptions): Promise<Socket> {
  const { host, port, timeout = 30_000, signal } = options;
  const proxy = typeof options.proxy === 'string' ? parseProxy(options.proxy) : options.proxy;
  signal?.throwIfAborted();
  let socket: Socket | undefined;
  const { promise: stopped, reject: stop } = Promise.withResolvers<never>();
  const late = setTimeout(
    () => stop(new ProxyError('ERR_PROXY_TIMEOUT', `no reply within ${timeout} ms`)),
    timeout,
  );
  const aborted = (): void => stop(signal?.reason);
  signal?.addEventListener('abort', aborted, { once: true });
  try {
    const destination = await Promise.race([destinationFor(proxy, host, port), stopped]);
    socket = connectTcp({ host: proxy.host, port: proxy.port, noDelay: true });
    await Promise.race([shake(socket, new ClientSession(sessionOptions(proxy, destination))), stopped]);
    return socket;
  } catch (error) {
    // What it still has to say about its end is no news.
    socket?.on('error', () => {}).destroy();
    throw error;
  } finally {
    clearTimeout(late);
    signal?.removeEventListener('abort', aborted);
  }
}

/** Runs the handshake on a socket that is still connecting; leaves it as good as new, with the first bytes of the destination in it. */
function shake(socket: Socket, session: ClientSession): Promise<void> {
  return new Promise((resolve, reject) => {
    const closed = (): void =>
      reject(new ProxyError('ERR_PROXY_CLOSED', 'the proxy closed the connection before it answered'));
    const settle = (): void => {
      socket.off('data', received).off('error', reject).off('end', closed).off('close', closed);
      // A stream whose last `readable` listener has gone is as good as new: it flows when somebody listens.
      socket.on('readable', nothing).off('readable', nothing);
      const rest = session.trailing();
      if (rest.length > 0) socket.unshift(rest);
      resolve();
    };
    const received = (bytes: Uint8Array): void => {
      try {
        session.receive(bytes);
        if (advance(socket, session)) settle();
      } catch (error) {
        reject(error);
      }
    };
    socket.on('data', received).on('error', reject).on('end', closed).on('close', closed);
    socket.write(session.start());
  });
}

/** Answers the server; true once the destination is reached. */
function advance(socket: Socket, session: ClientSession): boolean {
  for (let event = session.next(); event !== undefined; event = session.next()) {
    switch (event.type) {
      case 'send':
        socket.write(event.bytes);
        break;
      case 'refused':
        throw new ProxyError(
          'ERR_PROXY_AUTHENTICATION',
          event.phase === 'method'
            ? 'the proxy wants another way of authentication'
            : 'the proxy refused the user name or password',
        );
      case 'reply':
        if (event.ok) return true;
        throw new ProxyError(
          'ERR_PROXY_REFUSED',
          `the proxy refused the connection with reply ${event.code}`,
          event.code,
        );
      default:
        event satisfies never;
    }
  }
  return false;
}

function sessionOptions({ scheme, username, password }: Proxy, destination: Address): ClientSessionOptions {
  const command = Command.connect;
  if (scheme === 'socks4' || scheme === 'socks4a')
    return { protocol: scheme, command, destination, userId: username ?? '' };
  const credentials = username === undefined ? undefined : { username, password: password ?? '' };
  return { protocol: 'socks5', command, destination, ...(credentials && { credentials }) };
}

async function destinationFor({ scheme }: Proxy, host: string, port: number): Promise<Address> {
  if (scheme === 'socks4a' || scheme === 'socks5h') return addressOf(host, port);
  const { address } = await lookup(host, { family: scheme === 'socks4' ? 4 : 0 });
  return addressOf(address, port);
}

function nothing(): void {}
