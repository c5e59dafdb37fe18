import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { startTarget, type Target } from './targets.ts';

/** The faults of a relay, for each chunk and at the end. */
export interface Fault {
  /** Minimum and maximum delay of a chunk in milliseconds. */
  readonly late?: readonly [number, number];
  /** Bytes passed on at a time. */
  readonly piece?: number;
  /** Bytes after which it passes nothing on and closes nothing: a half-open peer. */
  readonly stallsAfter?: number;
  /** Bytes after which it resets both sides. */
  readonly cutsAfter?: number;
}

/** A faulty relay between garter and a target. */
export function startFaulty(target: { host: string; port: number }, fault: Fault): Promise<Target> {
  return startTarget((near) => {
    const far = connect({ host: target.host, port: target.port, allowHalfOpen: true, noDelay: true });
    far.on('error', () => near.destroy());
    near.on('close', () => far.destroy());
    let passed = 0;
    const pass = async (from: Socket, to: Socket): Promise<void> => {
      // The end of one direction must not destroy the socket.
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
    const gone = (): void => void near.destroy(); // one side has failed, which is the purpose of the test
    pass(near, far).catch(gone);
    pass(far, near).catch(gone);
  });
}
