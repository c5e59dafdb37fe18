import type { Relay, RelayEnd, RelayOptions, RelayOwner } from '../engine.ts';
import type { Sweep } from '../sweep.ts';
import { TimedRelay } from '../timed-relay.ts';
import { systemError } from '../../sys/errors.ts';
import { answers, takeError } from '../../sys/socket.ts';
import type { FastConnection, Consumer } from './connection.ts';
import { Flow } from './flow.ts';
import type { Task } from './loop.ts';
import type { Pipes } from './pipes.ts';
import type { Stream } from './stream.ts';

export class FastRelay extends TimedRelay implements Relay, Consumer, Task {
  readonly pipes: Pipes;
  readonly #up: Flow;
  readonly #down: Flow;
  /** The sweep has found a failed side. */
  #isLost = false;
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
    super(options, sweep);
    this.pipes = pipes;
    this.#owner = owner;
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
    this.cut({ by: 'abort' });
  }

  ready(stream: Stream): void {
    const isClient = stream === this.#up.from;
    if (stream.readable) (isClient ? this.#up : this.#down).run();
    if (stream.writable) (isClient ? this.#down : this.#up).run();
    // Its data could wait for bandwidth indefinitely after the client is gone.
    if (isClient && this.#up.waits && stream.broken) this.#broke(stream);
  }

  gone(stream: Stream): void {
    this.failed(stream);
  }

  protected look(): void {
    this.#up.from.keepAlive();
    this.#up.to.keepAlive();
    if (this.#up.from.broken) this.#lose(this.#up.from);
    else if (this.#up.to.broken) this.#lose(this.#up.to);
  }

  protected get waits(): boolean {
    return this.#up.waits || this.#down.waits;
  }

  protected get heldBack(): boolean {
    return this.#holdsBack(this.#up.from) || this.#holdsBack(this.#up.to);
  }

  #holdsBack(stream: Stream): boolean {
    return !stream.writable && answers(stream.fd, this.halfCloseTime);
  }

  /**
   * A side whose data has no room at the other is not read. The other has until the next sweep to take what
   * came before.
   */
  #lose(stream: Stream): void {
    if (this.#isLost) this.#broke(stream);
    this.#isLost = true;
  }

  /** No call has failed yet that would have returned the error. */
  #broke(stream: Stream): void {
    const code = takeError(stream.fd);
    if (code !== 0) stream.error ??= systemError(code, 'read');
    this.failed(stream);
  }

  sourceEnded(flow: Flow): void {
    this.ended(flow === this.#up ? 'client' : 'target');
  }

  flowDone(flow: Flow): void {
    if (!this.#up.done || !this.#down.done) {
      flow.to.shutdown();
      return;
    }
    // Closing also sends the end of stream.
    this.#stop({ by: this.endedFirst! });
    flow.to.close();
    flow.from.close();
  }

  failed(stream: Stream): void {
    const { name, code = name } = stream.failure() as NodeJS.ErrnoException;
    this.cut({ by: stream === this.#up.from ? 'client' : 'target', error: code });
  }

  protected cut(end: RelayEnd): void {
    if (this.#end !== undefined) return;
    this.#stop(end);
    this.#up.from.reset();
    this.#down.from.reset();
  }

  /** Runs after all current work. */
  run(): void {
    this.#owner.relayEnded(this.#end!);
  }

  #stop(end: RelayEnd): void {
    this.#end = end;
    this.#up.from.loop.soon(this);
    this.sweep.delete(this);
    this.#up.stop();
    this.#down.stop();
    this.pipes.leave();
  }
}
