import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import type { Socket } from 'node:net';
import { ClientHandshake } from '../handshake/client.ts';
import type { ClientHandshakeOptions } from '../handshake/protocol.ts';
import { connectionOf } from '../net/portable/tcp.ts';
import { nextEvent } from '../route/driver.ts';
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
  /** Milliseconds for the whole attempt. @default 30_000 */
  readonly timeout?: number;
  readonly signal?: AbortSignal;
}

/**
 * Connects to a host through a SOCKS server (CONNECT). Bytes that the destination has already sent are the
 * first that the socket emits. Rejects with a ProxyError, a WireError, Node's error, or the signal's reason.
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
    const handshake = new ClientHandshake(handshakeOptions(proxy, destination));
    socket = connectTcp({ host: proxy.host, port: proxy.port, noDelay: true });
    await Promise.race([once(socket, 'connect'), stopped]);
    return await Promise.race([runHandshake(socket, handshake), stopped]);
  } catch (error) {
    // Later errors of the socket add nothing.
    socket?.on('error', () => {}).destroy();
    throw error;
  } finally {
    clearTimeout(late);
    signal?.removeEventListener('abort', aborted);
  }
}

/**
 * Runs the handshake on a connected socket; returns the socket in its initial state, with the destination's
 * first bytes in it.
 */
async function runHandshake(socket: Socket, handshake: ClientHandshake): Promise<Socket> {
  const stream = connectionOf(socket);
  if (stream === undefined) throw closed();
  stream.write(handshake.start());
  for (;;) {
    const event = await nextEvent(stream, handshake);
    switch (event?.type) {
      case undefined:
        throw closed();
      case 'send':
        stream.write(event.bytes);
        break;
      case 'refused':
        throw new ProxyError(
          'ERR_PROXY_AUTHENTICATION',
          event.phase === 'method'
            ? 'the proxy wants another way of authentication'
            : 'the proxy refused the user name or password',
        );
      case 'reply':
        if (event.ok) return stream.detach() as Socket;
        throw new ProxyError(
          'ERR_PROXY_REFUSED',
          `the proxy refused the connection with reply ${event.code}`,
          event.code,
        );
      default:
        event satisfies never;
    }
  }
}

function closed(): ProxyError {
  return new ProxyError('ERR_PROXY_CLOSED', 'the proxy closed the connection before it answered');
}

function handshakeOptions(
  { scheme, username, password }: Proxy,
  destination: Address,
): ClientHandshakeOptions {
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
