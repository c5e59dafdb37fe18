import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setImmediate as immediate, setTimeout as delay } from 'node:timers/promises';
import { start } from './process.ts';

/** A server on loopback: the destination in a test. */
export interface Target extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
}

/** The form used in records, rules and URLs: `127.0.0.1:1080`. */
export const at = ({ host, port }: { host: string; port: number }): string => `${host}:${port}`;

/** Calls `serve` for each connection. Both directions stay open until `serve` ends them. */
export async function startTarget(
  serve: (socket: Socket) => void,
  host = '127.0.0.1',
  port = 0,
): Promise<Target> {
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    socket.on('error', () => undefined); // tests reset it on purpose
    serve(socket);
  });
  const drop = (): void => {
    for (const socket of open) socket.destroy();
  };
  return listening(server, host, drop, port);
}

/** Echoes everything, and ends when the peer does. */
export function startEcho(host?: string, seen?: (socket: Socket) => void): Promise<Target> {
  return startTarget((socket) => {
    seen?.(socket);
    socket.pipe(socket);
  }, host);
}

/** A port of loopback without a listener. */
export async function closedPort(): Promise<number> {
  await using target = await startTarget(() => undefined);
  return target.port;
}

export async function startWebServer(host?: string): Promise<Target & { readonly page: string }> {
  const page = 'a page from loopback\n';
  const server = createHttpServer((_request, response) => response.end(page));
  const target = await listening(server, host, () => server.closeAllConnections());
  return { ...target, page };
}

/** Sends every datagram back to its sender. */
export async function startDatagramEcho(host = '127.0.0.1'): Promise<Target> {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
  socket.on('message', (message, { address, port }) => socket.send(message, port, address));
  socket.bind(0, host);
  await once(socket, 'listening');
  return {
    host,
    port: socket.address().port,
    [Symbol.asyncDispose]: async () => {
      socket.close();
      await once(socket, 'close');
    },
  };
}

async function listening(server: Server, host = '127.0.0.1', drop: () => void, port = 0): Promise<Target> {
  server.listen(port, host);
  await once(server, 'listening');
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  return {
    host,
    port: address.port,
    [Symbol.asyncDispose]: async () => {
      server.close();
      drop();
      await once(server, 'close');
    },
  };
}

/**
 * Resolves with `false` after this time, and after the event loop, however late, has delivered all pending
 * events.
 */
async function quiet(milliseconds: number): Promise<false> {
  await delay(milliseconds);
  return immediate(false);
}

/** Listens but never accepts, with a full queue: connections to it are neither established nor refused. */
export async function startBlackHole(host = '127.0.0.1', port = 0): Promise<Target> {
  await using stack = new AsyncDisposableStack();
  const script = `
    const server = require('node:net').createServer().listen({ host: '${host}', port: ${port}, backlog: 1 }, () => {
      console.log('port', server.address().port);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    });`;
  const daemon = stack.use(await start([process.execPath, '-e', script], { ready: /port (\d+)/ }));
  const target = { host, port: Number(daemon.ready[1]) };
  for (let waiting = 0, silent = false; !silent; waiting++) {
    if (waiting === 16) throw new Error('the queue does not get full');
    const socket = connect(target);
    stack.defer(() => void socket.destroy());
    socket.on('error', () => undefined);
    silent = !(await Promise.race([once(socket, 'connect').then(() => true), quiet(300)]));
  }
  const resources = stack.move();
  return { ...target, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}
