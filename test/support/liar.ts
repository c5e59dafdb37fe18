import type { Socket } from 'node:net';
import { address } from './raw.ts';
import { startTarget, type Target } from './targets.ts';

/**
 * A fake SOCKS5 server, which also plays the next hop after a CONNECT: it grants everything, and claims that
 * its relay is at the given address.
 */
export interface Liar extends Target {
  /** Open connections. */
  readonly open: ReadonlySet<Socket>;
  /** The number of connections so far. */
  readonly count: number;
}

/** Bytes of a greeting with a single method. */
const GREETING = 3;

/** `spoils`: the first connection is cut before the second receives its reply. */
export async function startLiar(relay: { host: string; port: number }, spoils = false): Promise<Liar> {
  const open = new Set<Socket>();
  let count = 0;
  const target = await startTarget((socket) => {
    open.add(socket);
    count++;
    socket.once('close', () => open.delete(socket));
    const reply = Buffer.concat([Buffer.of(5, 0, 0), address(relay.host, relay.port)]);
    const cuts = spoils && count === 2;
    socket.on('data', ({ length }) => {
      if (length === GREETING) return socket.write(Buffer.of(5, 0));
      const [other] = open;
      if (!cuts || other === undefined || other === socket) return socket.write(reply);
      other.once('close', () => socket.write(reply));
      return other.destroy();
    });
    socket.on('end', () => socket.end());
  });
  return {
    ...target,
    open,
    get count() {
      return count;
    },
  };
}
