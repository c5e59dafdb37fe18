import { createSocket } from 'node:dgram';
import type { RemoteInfo } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { UDP_HEADROOM } from '../engine.ts';
import type { Endpoint, Peer, UdpEvents, UdpSocket } from '../engine.ts';

const MAX_DATAGRAM = 65_535;
/** A burst may wait in the kernel; its default holds some 250 small datagrams. */
const BUFFER_SIZE = 1024 * 1024;

/** Where datagrams of all sockets are handed on from, one at a time, with room for a header in front. */
export class Scratch {
  readonly buffer: Uint8Array = new Uint8Array(UDP_HEADROOM + MAX_DATAGRAM);
}

export async function bindUdp(at: Endpoint, events: UdpEvents, scratch: Scratch): Promise<UdpSocket> {
  const ipv6 = isIPv6(at.host);
  const family = ipv6 ? 6 : 4;
  const socket = createSocket({
    type: ipv6 ? 'udp6' : 'udp4',
    ipv6Only: ipv6,
    recvBufferSize: BUFFER_SIZE,
    sendBufferSize: BUFFER_SIZE,
    // Destinations are literals: nothing to look up, and nothing to wait for.
    lookup: (host, _options, callback) => callback(null, host, family),
  });
  const buffer = scratch.buffer;
  let closed = false;
  const fail = (error: NodeJS.ErrnoException | null): void => {
    if (error && !closed) events.failed(error.code ?? error.message);
  };

  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.bind({ address: at.host, port: at.port, exclusive: true }, () => {
      socket.off('error', reject);
      resolve();
    });
  });
  socket.on('error', fail);
  socket.on('message', (data: Uint8Array, from: RemoteInfo) => {
    buffer.set(data, UDP_HEADROOM);
    events.received(
      buffer,
      UDP_HEADROOM,
      UDP_HEADROOM + data.length,
      peerOf(from.address.replace(/%.*$/, ''), from.port),
    );
  });
  const close = (): void => {
    if (closed) return;
    closed = true;
    socket.close();
  };
  const { address, port } = socket.address();
  return {
    local: { host: address, port },
    peer: ({ host, port: toPort }) => peerOf(host, toPort),
    send(bytes, start, end, to) {
      // Node may keep a datagram that it cannot send at once, and the caller's buffer is the caller's.
      if (!closed) socket.send(Uint8Array.from(bytes.subarray(start, end)), to.port, to.host, fail);
    },
    close,
    [Symbol.dispose]: close,
  };
}

function peerOf(host: string, port: number): Peer {
  return { host, port, key: `${host}:${port}` };
}
