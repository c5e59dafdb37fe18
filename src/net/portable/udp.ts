import { createSocket } from 'node:dgram';
import type { RemoteInfo } from 'node:dgram';
import { familyOf, seenFrom } from '../../wire/ip.ts';
import { MAX_DATAGRAM, UDP_HEADROOM } from '../engine.ts';
import type { Peer, UdpEvents, UdpSocket } from '../engine.ts';
import type { Endpoint } from '../../wire/address.ts';
import { endpoint, forNode } from './endpoint.ts';

/**
 * Bytes that can wait in the kernel, in either direction, and here when the kernel takes no more: room for a
 * burst.
 */
const BUFFER_SIZE = 1024 * 1024;

/**
 * The buffer from which datagrams of all sockets are passed on, one at a time, with room for a header in
 * front.
 */
export class Scratch {
  readonly buffer: Uint8Array = new Uint8Array(UDP_HEADROOM + MAX_DATAGRAM);
}

export async function bindUdp(at: Endpoint, events: UdpEvents, { buffer }: Scratch): Promise<UdpSocket> {
  const family = familyOf(at.host);
  const address = forNode(at.host);
  const socket = createSocket({
    type: family === 6 ? 'udp6' : 'udp4',
    ipv6Only: family === 6,
    recvBufferSize: BUFFER_SIZE,
    sendBufferSize: BUFFER_SIZE,
    // Destinations are literals: there is nothing to look up or wait for.
    lookup: (host, _options, callback) => callback(null, host, family),
  });
  await new Promise<void>((resolve, reject) => {
    socket.once('error', (error) => {
      socket.close();
      reject(error);
    });
    socket.bind({ address, port: at.port, exclusive: true }, resolve);
  });
  socket.removeAllListeners('error');

  let closed = false;
  const failed = (error: NodeJS.ErrnoException | null): void => {
    if (error && !closed) events.failed(error.code ?? error.message);
  };
  const close = (): void => {
    if (closed) return;
    closed = true;
    socket.close();
  };
  // Most datagrams have the same sender as the previous one.
  let last: { readonly from: RemoteInfo; readonly peer: Peer } | undefined;
  socket.on('error', failed);
  socket.on('message', (data: Uint8Array, from) => {
    if (from.port !== last?.from.port || from.address !== last.from.address) {
      last = { from, peer: peerOf(from.address, from.port) };
    }
    buffer.set(data, UDP_HEADROOM);
    events.received(buffer, UDP_HEADROOM, UDP_HEADROOM + data.length, last.peer);
  });
  const local = socket.address();
  return {
    local: endpoint(local.address, local.port),
    peer: ({ host, port }) => peerOf(seenFrom(local.address, host), port),
    send(bytes, start, end, to) {
      if (closed) return;
      if (to.port === 0) events.failed('EINVAL');
      else if (socket.getSendQueueSize() > BUFFER_SIZE) events.failed('EAGAIN');
      // Node may keep a datagram that it cannot send at once, but the caller may reuse the buffer.
      else socket.send(new Uint8Array(bytes.subarray(start, end)), to.port, to.host, failed);
    },
    close,
    [Symbol.dispose]: close,
  };
}

function peerOf(address: string, toPort: number): Peer {
  const { host, port } = endpoint(address, toPort);
  return { host, port, key: `${host} ${port}` };
}
