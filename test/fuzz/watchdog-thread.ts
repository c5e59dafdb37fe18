import { writeSync } from 'node:fs';
import { workerData } from 'node:worker_threads';
import { writeFind } from './corpus.ts';
import { HEAD } from './watchdog.ts';
import type { Watched } from './watchdog.ts';

/** Milliseconds without a new input: longer than minimising any find takes. */
const PATIENCE = 60_000;

const { memory, folder } = workerData as Watched;
const head = new Int32Array(memory, 0, HEAD.size / 4);
let runs = -1;

setInterval(() => {
  const now = Atomics.load(head, HEAD.runs);
  if (now !== runs) {
    runs = now;
    return;
  }
  const nameEnd = HEAD.size + Atomics.load(head, HEAD.nameLength);
  const bytes = Buffer.from(new Uint8Array(memory));
  const input = bytes.subarray(nameEnd, nameEnd + Atomics.load(head, HEAD.inputLength));
  const fault = 'an input never comes to an end';
  const find = { target: bytes.toString('utf8', HEAD.size, nameEnd), fault, error: new Error(fault), input };
  writeSync(1, `FIND ${fault}: ${writeFind(folder, find)}\n`);
  process.kill(process.pid, 'SIGKILL');
}, PATIENCE);
