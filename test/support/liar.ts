import type { Socket } from 'node:net';
import { address } from './raw.ts';
import { startTarget, type Target } from './targets.ts';

/** A SOCKS5 server, and the next one too, if it is told to connect: grants everything, and says that its relay is there. */
export interface Liar extends Target {
  /** Connections that it has. */
  readonly open: ReadonlySet<Socket>;
  /** All that it ever had. */
  readonly count: number;
}

/** Bytes of a greeting with one method. */
const GREETING = 3;

/** `spoils`: the first connection is cut before the second gets its reply. */
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
