import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { startTarget, type Target } from './targets.ts';

/** What a faulty relay does to each chunk, and at the end. */
export interface Fault {
  /** Milliseconds that a chunk is late, at least and at most. */
  readonly late?: readonly [number, number];
  /** Bytes at a time. */
  readonly piece?: number;
  /** Bytes after which it stops passing anything on, and closes nothing: a half-open peer. */
  readonly stallsAfter?: number;
  /** Bytes after which it resets both sides. */
  readonly cutsAfter?: number;
}

/** A relay to a target, between garter and it, that is not what it should be. */
export function startFaulty(target: { host: string; port: number }, fault: Fault): Promise<Target> {
  return startTarget((near) => {
    const far = connect({ host: target.host, port: target.port, allowHalfOpen: true, noDelay: true });
    far.on('error', () => near.destroy());
    near.on('close', () => far.destroy());
    let passed = 0;
    const pass = async (from: Socket, to: Socket): Promise<void> => {
      // The end of one direction is not the end of the socket.
      for await (const chunk of from.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
        const { late, piece = chunk.length, stallsAfter = Infinity, cutsAfter = Infinity } = fault;
        for (let at = 0; at < chunk.length; at += piece) {
          if (late !== undefined) await delay(late[0] + Math.random() * (late[1] - late[0]));
          passed += Math.min(piece, chunk.length - at);
          if (passed > stallsAfter) await new Promise(() => {}); // for ever
          if (passed > cutsAfter) {
            near.resetAndDestroy();
            far.resetAndDestroy();
            return;
          }
          to.write(chunk.subarray(at, at + piece));
        }
      }
      to.end();
    };
    const gone = (): void => void near.destroy(); // one side has failed: that is what the test is about
    pass(near, far).catch(gone);
    pass(far, near).catch(gone);
  });
}
