import { getRandomValues } from 'node:crypto';
import { createSpareMemory } from '../limits/spare.ts';
import { createLimitMemory } from '../limits/limits.ts';
import { createHealthMemory } from '../route/health.ts';
import { createPortMemory } from './listen/own-ports.ts';

/** Memory in which the threads of a server count together. */
export interface SharedMemory {
  readonly limits: SharedArrayBuffer;
  readonly ports: SharedArrayBuffer;
  readonly health: SharedArrayBuffer;
  /** One number: the connections that have made no request yet. */
  readonly waiting: SharedArrayBuffer;
  readonly spare: SharedArrayBuffer;
}

export function createSharedMemory(): SharedMemory {
  const [low, high] = getRandomValues(new Int32Array(2));
  return {
    limits: createLimitMemory([low!, high!]),
    ports: createPortMemory(),
    health: createHealthMemory(),
    spare: createSpareMemory(),
    waiting: new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT),
  };
}
