import { concat } from '../../wire/bytes.ts';
import type { Pace, Paced } from '../engine.ts';
import { SPLICE_F_MOVE_NONBLOCK } from '../../sys/constants.ts';
import { errno, libc } from '../../sys/libc.ts';
import { bytes as memory } from '../../sys/memory.ts';
import type { Task } from './loop.ts';
import type { Pipe, Pipes } from './pipes.ts';
import { copyBuffer, COPY_ADDRESS, COPY_SIZE, FAILED, WAIT } from './stream.ts';
import type { Stream } from './stream.ts';

/** Steps per turn. */
const BATCH = 8;
/** The size of a large read. After this many in a row a flow is bulk, and is spliced instead of copied. */
const LARGE = 16_384;
const BULK = 4;
/** A remainder smaller than this is sent together with the next data, not before it. */
const SMALL = 4096;
/** More than any pipe holds. */
const ALL = 1 << 30;

/** The relay, as its flows see it. */
interface Relay {
  readonly pipes: Pipes;
  /** Bytes were passed on. */
  touch(): void;
  /** The source has ended its direction. */
  sourceEnded(flow: Flow): void;
  /** Everything is passed on except the end. */
  flowDone(flow: Flow): void;
  failed(stream: Stream): void;
}

/** One direction of a relay. It reads nothing without room to write: at most one read's data is waiting. */
export class Flow implements Task, Paced {
  readonly from: Stream;
  readonly to: Stream;
  /** The source has ended, and all its data is passed on. */
  done = false;
  readonly #relay: Relay;
  readonly #pace: Pace | undefined;
  #passed: number;
  #ended = false;
  #left: Uint8Array | undefined;
  /** Read before the relay began, and waiting for the pace. */
  #early: Uint8Array | undefined;
  /** Consecutive large reads. One small read does not end bulk if a large one follows. */
  #large = 0;
  #pipe: Pipe | undefined;
  #queued = false;

  /** `out`: data to send first; it is not counted. */
  constructor(
    relay: Relay,
    from: Stream,
    to: Stream,
    out: Uint8Array | undefined,
    early: Uint8Array | undefined,
    pace: Pace | undefined,
  ) {
    this.#relay = relay;
    this.from = from;
    this.to = to;
    this.#pace = pace;
    this.#passed = out === undefined ? 0 : -out.length;
    if (pace !== undefined) {
      this.#left = out;
      this.#early = early;
    } else this.#left = out === undefined || early === undefined ? (out ?? early) : concat(out, early);
  }

  /** Whether it is waiting for bandwidth. */
  get waits(): boolean {
    return this.#pace?.waits === true;
  }

  get passed(): number {
    return Math.max(0, this.#passed);
  }

  /** Bytes in memory; data in a pipe is the kernel's. */
  get held(): number {
    return (this.#left?.length ?? 0) + (this.#early?.length ?? 0);
  }

  /** Passes on the available data while there is room. */
  run(): void {
    this.#queued = false;
    for (let i = 0; i < BATCH; i++) if (!this.#step()) return;
    this.#goOnLater();
  }

  /** Called when the relay is over. */
  stop(): void {
    this.#pace?.leave();
    this.#freePipe();
  }

  take(most: number): number {
    const { from, to } = this;
    const before = this.#passed;
    // Data taken earlier goes first.
    if (from.fd < 0 || !to.writable || this.#onTheWay > 0) return 0;
    if (this.#early !== undefined) {
      const early = this.#early;
      this.#early = early.length > most ? early.subarray(most) : undefined;
      this.#sendLeft(early.subarray(0, most));
    } else if (this.#isBulk) this.#splice(most);
    else this.#copy(most);
    const taken = this.#passed - before + this.#onTheWay;
    this.run();
    return taken;
  }

  /** Bytes taken but not passed on. */
  get #onTheWay(): number {
    return (this.#left?.length ?? 0) + (this.#pipe?.held ?? 0);
  }

  /** False when nothing can be done before the next event. */
  #step(): boolean {
    const { from, to } = this;
    if (from.fd < 0 || this.done || !to.writable) return false;
    if (this.#pipe !== undefined && this.#pipe.held > 0) return this.#drain(this.#pipe);
    const more = from.readable && !this.#ended;
    const takes = more && this.#pace === undefined;
    if (this.#left !== undefined && !(takes && this.#left.length < SMALL)) return this.#sendLeft(this.#left);
    if (takes) return this.#isBulk ? this.#splice() : this.#copy();
    this.#freePipe();
    if (more || this.#early !== undefined) this.#pace!.ask(this);
    else if (this.#ended) this.#finish();
    return false;
  }

  #finish(): void {
    this.done = true;
    this.#relay.flowDone(this);
  }

  get #isBulk(): boolean {
    return this.#large >= BULK && this.#left === undefined && this.from.spliceable;
  }

  #sendLeft(left: Uint8Array): boolean {
    const sent = this.to.send(left);
    if (sent === FAILED) return this.#failed(this.to);
    this.#count(sent);
    this.#left = sent === left.length ? undefined : left.subarray(sent);
    return this.#left === undefined;
  }

  #copy(most: number = COPY_SIZE): boolean {
    const left = this.#left;
    const head = left === undefined ? 0 : left.length;
    const room = Math.min(most, COPY_SIZE - head);
    const count = this.from.take(COPY_ADDRESS + head, room);
    if (count <= 0) return this.#tookNone(count);
    if (left !== undefined) memory.set(left, copyBuffer);
    this.#large = count >= LARGE ? this.#large + 1 : 0;
    if (this.from.isAllRead(count, room)) this.#noteEnd();
    const size = head + count;
    const given = this.to.give(COPY_ADDRESS, size, this.#ended);
    if (given === FAILED) return this.#failed(this.to);
    const sent = given === WAIT ? 0 : given;
    this.#left = sent === size ? undefined : memory.slice(copyBuffer + sent, copyBuffer + size);
    this.#count(sent);
    return this.#left === undefined;
  }

  #splice(most: number = ALL): boolean {
    const pipe = (this.#pipe ??= this.#relay.pipes.take());
    if (pipe === undefined) return this.#copy(most);
    const size = Math.min(pipe.size, most);
    const count = libc.splice(this.from.fd, 0, pipe.into, 0, size, SPLICE_F_MOVE_NONBLOCK);
    if (count <= 0)
      return this.#tookNone(count < 0 ? this.from.refused('read', errno()) : this.from.splicedNone());
    pipe.held = count;
    if (count < LARGE) this.#large--;
    else this.#large = BULK;
    return this.#drain(pipe);
  }

  #drain(pipe: Pipe): boolean {
    const sent = libc.splice(pipe.outOf, 0, this.to.fd, 0, pipe.held, SPLICE_F_MOVE_NONBLOCK);
    if (sent < 0) return this.to.refused('write', errno()) === FAILED && this.#failed(this.to);
    pipe.held -= sent;
    this.#count(sent);
    return true;
  }

  #tookNone(outcome: number): boolean {
    if (outcome === FAILED) return this.#failed(this.from);
    if (outcome === 0) this.#noteEnd();
    return true;
  }

  #noteEnd(): void {
    this.#ended = true;
    this.#relay.sourceEnded(this);
  }

  #failed(stream: Stream): false {
    this.#relay.failed(stream);
    return false;
  }

  #count(bytes: number): void {
    if (bytes === 0) return;
    this.#passed += bytes;
    this.#relay.touch();
  }

  #freePipe(): void {
    if (this.#pipe === undefined) return;
    this.#relay.pipes.giveBack(this.#pipe);
    this.#pipe = undefined;
  }

  #goOnLater(): void {
    if (this.#queued) return;
    this.#queued = true;
    this.from.loop.later(this);
  }
}
