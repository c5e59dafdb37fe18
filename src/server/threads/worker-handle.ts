import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { createOwnedMemory } from '../../net/threads.ts';
import { Channel } from './channel.ts';
import type { ServerCalls, ThreadCalls, ThreadStart } from './messages.ts';

/** MiB of its heap for young objects: as in bin/garter, of which V8 takes three. */
const YOUNG_OBJECTS = 24;

/** A thread that serves, seen from the server's own. */
export class WorkerHandle extends Channel<ServerCalls, ThreadCalls> {
  readonly number: number;
  /** Its descriptors: see `Loop`. */
  readonly owned: Int32Array;
  /** It has settings and listeners. */
  serves = false;
  /** Resolves when it is gone, with the error that it died of. */
  readonly ended: Promise<Error | undefined>;

  constructor(start: Omit<ThreadStart, 'owned'>, calls: ServerCalls) {
    const owned = createOwnedMemory();
    const worker = new Worker(new URL(`worker-thread${extname(import.meta.url)}`, import.meta.url), {
      workerData: { ...start, owned } satisfies ThreadStart,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_OBJECTS },
      // Not those of the program: some of Node's options are for its main script only.
      execArgv: [],
    });
    super(worker, calls);
    this.number = start.number;
    this.owned = new Int32Array(owned);
    let died: Error | undefined;
    worker.on('error', (error: Error) => {
      died = error;
    });
    this.ended = new Promise((resolve) => {
      worker.on('exit', () => {
        this.end(died ?? new Error(`thread ${start.number} has ended`));
        resolve(died);
      });
    });
  }
}
