import type { Duplex } from 'node:stream';
import { codeOf } from '../../wire/error-code.ts';
import { concat } from '../../wire/bytes.ts';
import type { Pace, Paced, Relay, RelayEnd, RelayOptions, RelayOwner } from '../engine.ts';
import type { PortableConnection, Consumer } from './connection.ts';
import { resetError } from './signs.ts';
import type { Signs } from './signs.ts';
import type { Sweep } from '../sweep.ts';
import { TimedRelay } from '../timed-relay.ts';

export class PortableRelay extends TimedRelay implements Relay {
  readonly #client: Side;
  readonly #target: Side;
  #end: RelayEnd | undefined;
  #open = 2;
  /** The side that the sweep found reset. */
  #lost: Side | undefined;
  readonly #owner: RelayOwner;
  readonly #signs: Signs;

  constructor(
    client: PortableConnection,
    target: PortableConnection,
    options: RelayOptions,
    owner: RelayOwner,
    sweep: Sweep,
    signs: Signs,
  ) {
    super(options, sweep);
    this.#owner = owner;
    this.#signs = signs;
    this.#client = new Side(this, 'client', client, target, options.sendPace);
    this.#target = new Side(this, 'target', target, client, options.receivePace);
    sweep.add(this);
    client.handTo(this.#client);
    target.handTo(this.#target);
  }

  get sent(): number {
    return this.#client.passed;
  }

  get received(): number {
    return this.#target.passed;
  }

  get held(): number {
    return this.#client.held + this.#target.held;
  }

  abort(): void {
    this.cut({ by: 'abort' });
  }

  /** A reset only shows when reading. The other side has until the next sweep to take what came before it. */
  protected look(): void {
    if (this.endedFirst === undefined && !this.#client.rests && !this.#target.rests) return;
    if (this.#lost !== undefined) this.cut({ by: this.#lost.name, error: nameOf(resetError()) });
    this.#lost = [this.#client, this.#target].find(({ connection }) =>
      this.#signs.isReset(connection.stream),
    );
  }

  protected get waits(): boolean {
    return this.#client.waits || this.#target.waits;
  }

  protected get heldBack(): boolean {
    return this.#holdsBack(this.#client) || this.#holdsBack(this.#target);
  }

  #holdsBack(side: Side): boolean {
    return this.opposite(side).full && this.#signs.answers(side.connection.stream, this.halfCloseTime);
  }

  /** For a side: the opposite one. */
  opposite(side: Side): Side {
    return side === this.#client ? this.#target : this.#client;
  }

  /** For a side: its peer has ended its direction. */
  sideEnded(side: Side): void {
    this.ended(side.name);
  }

  /** For a side: its connection is closed. */
  sideClosed(side: Side, error: Error | undefined): void {
    if (error !== undefined) this.cut({ by: side.name, error: nameOf(error) });
    this.#open--;
    if (this.#open > 0) return;
    this.#leave();
    this.sweep.delete(this);
    const end = this.#end ?? { by: this.endedFirst ?? side.name };
    // A connection that was already closed reports it from within the constructor.
    process.nextTick(() => this.#owner.relayEnded(end));
  }

  protected cut(end: RelayEnd): void {
    if (this.#end !== undefined || this.#open === 0) return;
    this.#end = end;
    this.#leave();
    this.#client.connection.reset();
    this.#target.connection.reset();
  }

  /** Stops both sides from waiting for bandwidth. */
  #leave(): void {
    this.#client.leave();
    this.#target.leave();
  }
}

/** One side of a relay: data from its connection goes to the other side's. */
class Side implements Consumer, Paced {
  readonly name: 'client' | 'target';
  readonly connection: PortableConnection;
  readonly #relay: PortableRelay;
  readonly #other: Duplex;
  readonly #pace: Pace | undefined;
  #passed = 0;
  #full = false;
  /** Data that has arrived and is waiting for bandwidth. */
  #held: Uint8Array | undefined;
  /** The peer's direction ended after that data. */
  #ended = false;

  constructor(
    relay: PortableRelay,
    name: 'client' | 'target',
    connection: PortableConnection,
    other: PortableConnection,
    pace: Pace | undefined,
  ) {
    this.name = name;
    this.connection = connection;
    this.#relay = relay;
    this.#other = other.stream;
    this.#pace = pace;
  }

  get passed(): number {
    return this.#passed;
  }

  /** Approximate bytes in memory. */
  get held(): number {
    return this.connection.held + (this.#held?.length ?? 0);
  }

  /** The other side has not taken everything yet. */
  get full(): boolean {
    return this.#full;
  }

  /** Whether it is waiting for bandwidth. */
  get waits(): boolean {
    return this.#pace?.waits === true;
  }

  /** Whether reading is suspended. */
  get rests(): boolean {
    return this.#full || this.waits;
  }

  data(chunk: Uint8Array): void {
    if (this.#pace === undefined) {
      this.#pass(chunk);
      return;
    }
    this.#held = this.#held === undefined ? chunk : concat(this.#held, chunk);
    this.connection.pause();
    this.#pace.ask(this);
  }

  take(most: number): number {
    let taken = 0;
    while (taken < most && !this.#full) {
      // Data that the stream buffered while paused arrives through `data` as well.
      if (this.#held === undefined) this.connection.stream.read();
      const held = this.#held;
      if (held === undefined) break;
      const piece = held.subarray(0, most - taken);
      this.#held = piece.length < held.length ? held.subarray(piece.length) : undefined;
      taken += piece.length;
      this.#pass(piece);
    }
    if (this.#held === undefined && this.#ended) this.#other.end();
    else if (!this.#full) this.#goOn();
    return taken;
  }

  #pass(chunk: Uint8Array): void {
    this.#passed += chunk.length;
    this.#relay.touch();
    // `write` returns false by size alone; usually the kernel has already taken the whole chunk.
    if (!this.#other.write(chunk) && this.#other.writableLength > 0) {
      this.#full = true;
      this.connection.pause();
    }
  }

  /** The other side has taken everything. */
  emptied(): void {
    this.#full = false;
    this.#relay.touch();
    this.#goOn();
  }

  #goOn(): void {
    const waits = this.#held !== undefined || this.connection.stream.readableLength > 0;
    if (this.#pace !== undefined && waits) this.#pace.ask(this);
    else this.connection.resume();
  }

  ended(): void {
    this.#relay.sideEnded(this);
    this.#ended = true;
    if (this.#held === undefined) this.#other.end();
  }

  /** Called when the relay is over. */
  leave(): void {
    this.#pace?.leave();
  }

  drained(): void {
    this.#relay.opposite(this).emptied();
  }

  closed(error?: Error): void {
    this.#relay.sideClosed(this, error);
  }
}

function nameOf(error: Error): string {
  return codeOf(error) ?? error.name;
}
