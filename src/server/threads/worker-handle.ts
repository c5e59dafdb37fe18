import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { createOwnedMemory } from '../../net/threads.ts';
import { ThreadChannel } from './channel.ts';
import type { ServerCalls, ThreadCalls, ThreadStart } from './messages.ts';

/** MiB of its heap for young objects: V8 makes three semi-spaces of it, each as large as in bin/garter. */
const YOUNG_OBJECTS = 24;

/** A serving thread, as seen by the server's own. */
export class WorkerHandle extends ThreadChannel<ServerCalls, ThreadCalls> {
  readonly number: number;
  /** Its descriptors: see `Loop`. */
  readonly owned: Int32Array;
  /** It has its settings and listeners. */
  serves = false;
  /** Resolves when the thread has gone, with the error that ended it, if any. */
  readonly ended: Promise<Error | undefined>;

  constructor(start: Omit<ThreadStart, 'owned'>, calls: ServerCalls) {
    const owned = createOwnedMemory();
    const worker = new Worker(new URL(`worker-thread${extname(import.meta.url)}`, import.meta.url), {
      workerData: { ...start, owned } satisfies ThreadStart,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_OBJECTS },
      // Not the program's: some of Node's options are valid for the main script only.
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
