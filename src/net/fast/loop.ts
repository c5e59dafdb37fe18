import { EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD } from '../../sys/constants.ts';
import { control, eventsOf, generationOf, slotOf, takeEvents } from '../../sys/epoll.ts';
import { systemError } from '../../sys/errors.ts';
import { watch } from '../../sys/event-loop.ts';
import { errno, libc } from '../../sys/libc.ts';

/** Receives the events of a descriptor in the set. */
export interface Watcher {
  ready(events: number): void;
}

export interface Task {
  run(): void;
}

/**
 * The epoll set of a thread, watched by Node's event loop. Each descriptor has a slot, and each slot a
 * generation: an event already queued when the descriptor was closed reaches neither the old watcher nor the
 * new owner of the number.
 */
export class Loop {
  readonly #watchers: (Watcher | undefined)[] = [];
  readonly #generations: number[] = [];
  readonly #free: number[] = [];
  /** The descriptors that this thread must close, by slot; 0 = none. */
  readonly #owned: Int32Array | undefined;
  #size = 0;
  #epoll = -1;
  #epollSlot = -1;
  #unwatch: () => void = () => {};
  #soon: Task[] = [];
  #later: Task[] = [];

  /** `owned`: records all open descriptors, for cleaning up after a thread that has died. */
  constructor(owned?: Int32Array) {
    this.#owned = owned;
  }

  /** Returns the slot. Throws a system error when the kernel cannot add it. */
  add(fd: number, events: number, watcher: Watcher): number {
    if (this.#epoll < 0) this.#open();
    const slot = this.#free.pop() ?? this.#watchers.length;
    this.#generations[slot] = ((this.#generations[slot] ?? 0) + 1) & 0x3fff_ffff;
    if (this.#control(EPOLL_CTL_ADD, fd, events, slot) < 0) {
      const error = systemError(errno(), 'epoll_ctl');
      this.#watchers[slot] = undefined;
      this.#free.push(slot);
      this.#closeIfEmpty();
      throw error;
    }
    this.#watchers[slot] = watcher;
    this.#own(slot, fd);
    this.#size++;
    return slot;
  }

  /** Records a descriptor that is not in the set; returns its slot. */
  hold(fd: number): number {
    const slot = this.#free.pop() ?? this.#watchers.length;
    this.#watchers[slot] = undefined;
    this.#own(slot, fd);
    return slot;
  }

  /** Call it before such a descriptor is closed. */
  letGo(slot: number): void {
    this.disown(slot);
    this.#free.push(slot);
  }

  /** For a descriptor that will be closed elsewhere. */
  disown(slot: number): void {
    this.#own(slot, 0);
  }

  /** Assigns a slot to another watcher. */
  replace(slot: number, watcher: Watcher): void {
    this.#watchers[slot] = watcher;
  }

  change(slot: number, fd: number, events: number): void {
    this.#control(EPOLL_CTL_MOD, fd, events, slot);
  }

  /** Call it before the descriptor is closed, which removes it from the set. */
  release(slot: number): void {
    // A slot freed twice would be assigned to two watchers, one of which would receive no events.
    if (this.#watchers[slot] === undefined) throw new Error(`slot ${slot} is free already`);
    this.#watchers[slot] = undefined;
    this.letGo(slot);
    this.#size--;
    this.#closeIfEmpty();
  }

  /** For a descriptor that stays open elsewhere. */
  remove(slot: number, fd: number): void {
    this.#control(EPOLL_CTL_DEL, fd, 0, slot);
    this.release(slot);
  }

  /** Runs the task after all current work, including promises. */
  soon(task: Task): void {
    if (this.#soon.push(task) === 1) process.nextTick(this.#runSoon);
  }

  /** Runs the task after others have had their turn. */
  later(task: Task): void {
    if (this.#later.push(task) === 1) setImmediate(this.#runLater);
  }

  readonly #runSoon = (): void => {
    const tasks = this.#soon;
    this.#soon = [];
    runAll(tasks);
  };

  readonly #runLater = (): void => {
    const tasks = this.#later;
    this.#later = [];
    runAll(tasks);
  };

  readonly #turn = (): void => {
    const count = takeEvents(this.#epoll);
    for (let i = 0; i < count; i++) {
      const slot = slotOf(i);
      if (generationOf(i) !== this.#generations[slot]) continue;
      try {
        this.#watchers[slot]?.ready(eventsOf(i));
      } catch (error) {
        throwLater(error);
      }
    }
  };

  /** For a thread that ends with open descriptors: it must stop watching them first. */
  stop(): void {
    this.#unwatch();
    this.#unwatch = (): void => {};
  }

  #own(slot: number, fd: number): void {
    if (this.#owned !== undefined && slot < this.#owned.length) this.#owned[slot] = fd;
  }

  #control(operation: number, fd: number, events: number, slot: number): number {
    return control(this.#epoll, operation, fd, events, slot, this.#generations[slot]!);
  }

  #open(): void {
    const epoll = libc.epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0) throw systemError(errno(), 'epoll_create1');
    try {
      this.#unwatch = watch(epoll, this.#turn);
    } catch (error) {
      libc.close(epoll);
      throw error;
    }
    this.#epoll = epoll;
    this.#epollSlot = this.hold(epoll);
  }

  #closeIfEmpty(): void {
    if (this.#size > 0) return;
    this.stop();
    this.letGo(this.#epollSlot);
    libc.close(this.#epoll);
    this.#epoll = -1;
  }
}

/** Runs all of them, even when one throws. */
function runAll(tasks: readonly Task[]): void {
  for (const task of tasks) {
    try {
      task.run();
    } catch (error) {
      throwLater(error);
    }
  }
}

/** Thrown after the others have run: the kernel reports each event only once, and none must be lost. */
function throwLater(error: unknown): void {
  setImmediate(() => {
    throw error;
  });
}
