import { addressOf, int32, reserve } from './memory.ts';
import { libc } from './libc.ts';

/** Events per call. */
const BATCH = 512;
// struct epoll_event in words; it is packed on x64 only. The data field holds a slot and its generation.
const [SIZE, SLOT] = process.arch === 'x64' ? [3, 1] : [4, 2];
const GENERATION: number = SLOT + 1;

const batch = reserve(BATCH * SIZE * 4) >> 2;
const BATCH_ADDRESS = addressOf(batch << 2);
const single = reserve(SIZE * 4) >> 2;
const SINGLE_ADDRESS = addressOf(single << 2);

/** epoll_ctl(2) for a descriptor with this slot; negative on failure. */
export function control(
  epoll: number,
  operation: number,
  fd: number,
  events: number,
  slot: number,
  generation: number,
): number {
  int32[single] = events;
  int32[single + SLOT] = slot;
  int32[single + GENERATION] = generation;
  return libc.epoll_ctl(epoll, operation, fd, SINGLE_ADDRESS);
}

/** Returns the number of pending events. They are read with the functions below, until the next call. */
export function takeEvents(epoll: number): number {
  return libc.epoll_wait(epoll, BATCH_ADDRESS, BATCH, 0);
}

export function eventsOf(i: number): number {
  return int32[batch + SIZE * i]!;
}

export function slotOf(i: number): number {
  return int32[batch + SIZE * i + SLOT]!;
}

export function generationOf(i: number): number {
  return int32[batch + SIZE * i + GENERATION]!;
}
