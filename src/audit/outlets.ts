import { Level } from './level.ts';
import type { Line } from './line.ts';
import { LineQueue } from './queue.ts';
import type { Sink } from './sink.ts';
import { formatLogPlace, openSink } from './sinks/open.ts';
import type { LogPlace } from './sinks/open.ts';

/** A place for lines, and how severe they must be. */
export interface Wanted {
  readonly place: LogPlace;
  readonly level: Level;
}

/** Notified when a place cannot be written, and when it can again. */
export interface PlaceOutages {
  begins(place: LogPlace, fault: string): void;
  /** `lost`: lines lost in this outage. */
  ends(place: LogPlace, fault: string, lost: number): void;
}

/** A place with its own queue. */
interface Outlet extends Wanted {
  readonly queue: LineQueue;
}

/** Passes lines to several places. One that cannot be written does not hold up the others. */
export class Outlets {
  readonly #outages: PlaceOutages;
  #open: readonly Outlet[] = [];
  /** Those that are no longer wanted write what they have. */
  readonly #leaving = new Set<Promise<void>>();
  #lost = 0;
  #isClosed = false;

  constructor(outages: PlaceOutages) {
    this.#outages = outages;
  }

  get places(): readonly LogPlace[] {
    return this.#open.map(({ place }) => place);
  }

  /** Why lines cannot be written at the moment: one word, or where there are several places also which. */
  get fault(): string | undefined {
    const faults = this.#open.flatMap(({ place, queue: { fault } }) => {
      if (fault === undefined) return [];
      return this.#open.length === 1 ? fault : `${formatLogPlace(place)} ${fault}`;
    });
    return faults.length === 0 ? undefined : faults.join(', ');
  }

  /** Lines lost since the start. */
  get lost(): number {
    return this.#open.reduce((sum, { queue }) => sum + queue.lost, this.#lost);
  }

  /** `except`: a place that does not receive it. */
  push(line: Line, except?: LogPlace): void {
    for (const { place, level, queue } of this.#open)
      if (Level[line.level] <= Level[level] && place !== except) queue.push(line);
  }

  /**
   * Switches to these places, and reopens files. Lines that wait for a place that is gone are written to the one that
   * replaces it. Throws Node's error when a file cannot be opened; then nothing has changed.
   */
  use(wanted: readonly Wanted[]): void {
    const before = [...this.#open];
    const take = (fits: (one: Outlet) => boolean): Outlet | undefined => {
      const at = before.findIndex(fits);
      return at < 0 ? undefined : before.splice(at, 1)[0];
    };
    const kept = wanted.map((one) => take((other) => nameOf(other) === nameOf(one)));
    const sinks = openAll(wanted, kept);
    this.#open = wanted.map((one, i) => {
      const outlet = kept[i] ?? take(({ level }) => level === one.level);
      const sink = sinks[i];
      if (sink === undefined) return outlet!;
      if (outlet === undefined) return this.#outlet(one, sink);
      outlet.queue.use(sink);
      return { ...one, queue: outlet.queue };
    });
    for (const { queue } of before) this.#leave(queue);
  }

  /** Writes the waiting lines; takes two seconds at most. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#leaving, ...this.#open.map(({ queue }) => queue.close())]);
  }

  #outlet(wanted: Wanted, sink: Sink): Outlet {
    const queue: LineQueue = new LineQueue(sink, {
      begins: (fault) => this.#outages.begins(this.#placeOf(queue, wanted), fault),
      ends: (fault, lost) => this.#outages.ends(this.#placeOf(queue, wanted), fault, lost),
    });
    if (this.#isClosed) void queue.close();
    return { ...wanted, queue };
  }

  /** A queue may have moved to another place. */
  #placeOf(queue: LineQueue, { place }: Wanted): LogPlace {
    return this.#open.find((one) => one.queue === queue)?.place ?? place;
  }

  #leave(queue: LineQueue): void {
    const close = async (): Promise<void> => {
      await queue.close();
      this.#lost += queue.lost;
      this.#leaving.delete(left);
    };
    const left = close();
    this.#leaving.add(left);
  }
}

/** The sinks to switch to; none where an outlet stays as it is. */
function openAll(wanted: readonly Wanted[], kept: readonly (Outlet | undefined)[]): (Sink | undefined)[] {
  const sinks: (Sink | undefined)[] = [];
  try {
    for (const [i, { place }] of wanted.entries()) {
      const stays = kept[i] !== undefined && !(typeof place === 'object' && 'file' in place);
      sinks.push(stays ? undefined : openSink(place));
    }
    return sinks;
  } catch (error) {
    for (const sink of sinks) sink?.close();
    throw error;
  }
}

function nameOf({ place, level }: Wanted): string {
  return `${level} ${formatLogPlace(place)}`;
}
