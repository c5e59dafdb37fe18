import type { Relay, RelayEnd, RelayOptions, RelayOwner } from '../engine.ts';
import { ticks } from '../sweep.ts';
import type { Sweep } from '../sweep.ts';
import { systemError } from '../../sys/errors.ts';
import { answers, takeError } from '../../sys/socket.ts';
import type { FastConnection, Consumer } from './connection.ts';
import { Flow } from './flow.ts';
import type { Task } from './loop.ts';
import type { Pipes } from './pipes.ts';
import type { Stream } from './stream.ts';

export class FastRelay implements Relay, Consumer, Task {
  readonly pipes: Pipes;
  /** The sweep's. */
  index = -1;
  readonly #up: Flow;
  readonly #down: Flow;
  readonly #sweep: Sweep;
  readonly #started: number;
  readonly #idle: number;
  readonly #halfClose: number;
  readonly #duration: number;
  #active: number;
  /** One of them has failed, as the sweep has seen. */
  #isLost = false;
  #endedFirst: 'client' | 'target' | undefined;
  #end: RelayEnd | undefined;
  readonly #owner: RelayOwner;

  constructor(
    client: FastConnection,
    target: FastConnection,
    options: RelayOptions,
    owner: RelayOwner,
    sweep: Sweep,
    pipes: Pipes,
  ) {
    this.pipes = pipes;
    this.#owner = owner;
    this.#sweep = sweep;
    this.#started = sweep.tick;
    this.#active = sweep.tick;
    this.#idle = ticks(options.idle);
    this.#halfClose = ticks(options.halfClose);
    this.#duration = ticks(options.duration);
    const mine = client.handTo(this);
    const theirs = target.handTo(this);
    this.#up = new Flow(this, client, target, theirs.out, mine.early, options.sendPace);
    this.#down = new Flow(this, target, client, mine.out, theirs.early, options.receivePace);
    sweep.add(this);
    pipes.join();
    if (client.fd < 0) this.failed(client);
    else if (target.fd < 0) this.failed(target);
    this.#up.run();
    this.#down.run();
  }

  get sent(): number {
    return this.#up.passed;
  }

  get received(): number {
    return this.#down.passed;
  }

  get held(): number {
    return this.#up.held + this.#down.held;
  }

  abort(): void {
    this.#cut({ by: 'abort' });
  }

  ready(stream: Stream): void {
    const isClient = stream === this.#up.from;
    if (stream.readable) (isClient ? this.#up : this.#down).run();
    if (stream.writable) (isClient ? this.#down : this.#up).run();
    // What it has sent could wait for bandwidth as long as it likes, and nobody would be there any more.
    if (isClient && this.#up.waits && stream.broken) this.#broke(stream);
  }

  gone(stream: Stream): void {
    this.failed(stream);
  }

  /** For the sweep: ends what has gone on for too long. */
  check(tick: number): void {
    this.#up.from.keepAlive();
    this.#up.to.keepAlive();
    if (this.#up.from.broken) this.#lose(this.#up.from);
    else if (this.#up.to.broken) this.#lose(this.#up.to);
    if (this.#up.waits || this.#down.waits) this.touch();
    if (tick - this.#started >= this.#duration) this.#cut({ by: 'duration' });
    else if (tick - this.#active >= this.#idle) this.#cut({ by: 'idle' });
    else if (this.#endedFirst !== undefined && tick - this.#active >= this.#halfClose && !this.#heldBack) {
      this.#cut({ by: 'half-close' });
    }
  }

  /** Somebody who is there reads slower than the other sends: that is no silence. */
  get #heldBack(): boolean {
    return this.#holdsBack(this.#up.from) || this.#holdsBack(this.#up.to);
  }

  #holdsBack(stream: Stream): boolean {
    return !stream.writable && answers(stream.fd, this.#halfClose * 1000);
  }

  /** Nobody reads a side whose bytes have nowhere to go. The other side has one turn of the sweep to take what came before. */
  #lose(stream: Stream): void {
    if (this.#isLost) this.#broke(stream);
    this.#isLost = true;
  }

  /** No call has failed yet that would have told why. */
  #broke(stream: Stream): void {
    const code = takeError(stream.fd);
    if (code !== 0) stream.error ??= systemError(code, 'read');
    this.failed(stream);
  }

  touch(): void {
    this.#active = this.#sweep.tick;
  }

  sourceEnded(flow: Flow): void {
    this.#endedFirst ??= flow === this.#up ? 'client' : 'target';
    this.touch();
  }

  flowDone(flow: Flow): void {
    if (!this.#up.done || !this.#down.done) {
      flow.to.shutdown();
      return;
    }
    // A close says the end too.
    this.#stop({ by: this.#endedFirst! });
    flow.to.close();
    flow.from.close();
  }

  failed(stream: Stream): void {
    const { name, code = name } = stream.failure() as NodeJS.ErrnoException;
    this.#cut({ by: stream === this.#up.from ? 'client' : 'target', error: code });
  }

  #cut(end: RelayEnd): void {
    if (this.#end !== undefined) return;
    this.#stop(end);
    this.#up.from.reset();
    this.#down.from.reset();
  }

  /** When all has come to rest. */
  run(): void {
    this.#owner.relayEnded(this.#end!);
  }

  #stop(end: RelayEnd): void {
    this.#end = end;
    this.#up.from.loop.soon(this);
    this.#sweep.delete(this);
    this.#up.stop();
    this.#down.stop();
    this.pipes.leave();
  }
}
