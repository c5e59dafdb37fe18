import { EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD } from '../../sys/constants.ts';
import { control, eventsOf, generationOf, slotOf, takeEvents } from '../../sys/epoll.ts';
import { systemError } from '../../sys/errors.ts';
import { watch } from '../../sys/event-loop.ts';
import { errno, libc } from '../../sys/libc.ts';

/** Has a descriptor in the set, and gets its events. */
export interface Watcher {
  ready(events: number): void;
}

export interface Task {
  run(): void;
}

/**
 * The epoll set of a thread, watched by Node's event loop. A descriptor has a slot there, and a slot a generation: an event
 * that was on its way when the descriptor was closed finds neither the old watcher nor the new owner of the number.
 */
export class Loop {
  readonly #watchers: (Watcher | undefined)[] = [];
  readonly #generations: number[] = [];
  readonly #free: number[] = [];
  /** What this thread has to close, by slot; 0 = nothing. */
  readonly #owned: Int32Array | undefined;
  #size = 0;
  #epoll = -1;
  #epollSlot = -1;
  #unwatch: () => void = () => {};
  #soon: Task[] = [];
  #later: Task[] = [];

  /** `owned`: where to note all open descriptors, for the cleanup after a thread that died. */
  constructor(owned?: Int32Array) {
    this.#owned = owned;
  }

  /** The slot. Throws a system error when the kernel takes no more. */
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

  /** A descriptor that is not in the set; its slot. */
  hold(fd: number): number {
    const slot = this.#free.pop() ?? this.#watchers.length;
    this.#watchers[slot] = undefined;
    this.#own(slot, fd);
    return slot;
  }

  /** Before such a descriptor is closed. */
  letGo(slot: number): void {
    this.disown(slot);
    this.#free.push(slot);
  }

  /** Somebody else closes this one. */
  disown(slot: number): void {
    this.#own(slot, 0);
  }

  /** Gives a slot to another watcher. */
  replace(slot: number, watcher: Watcher): void {
    this.#watchers[slot] = watcher;
  }

  change(slot: number, fd: number, events: number): void {
    this.#control(EPOLL_CTL_MOD, fd, events, slot);
  }

  /** Before the descriptor is closed, which takes it out of the set. */
  release(slot: number): void {
    // Freed twice, it would be given to two watchers, one of which would hear nothing.
    if (this.#watchers[slot] === undefined) throw new Error(`slot ${slot} is free already`);
    this.#watchers[slot] = undefined;
    this.letGo(slot);
    this.#size--;
    this.#closeIfEmpty();
  }

  /** For a descriptor that lives on elsewhere. */
  remove(slot: number, fd: number): void {
    this.#control(EPOLL_CTL_DEL, fd, 0, slot);
    this.release(slot);
  }

  /** Runs the task when all that is going on now has come to rest, promises too. */
  soon(task: Task): void {
    if (this.#soon.push(task) === 1) process.nextTick(this.#runSoon);
  }

  /** Runs the task when others have had their turn. */
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

  /** For a thread that ends with descriptors open, which it must not do while it is watching them. */
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

/** All of them, even when one throws. */
function runAll(tasks: readonly Task[]): void {
  for (const task of tasks) {
    try {
      task.run();
    } catch (error) {
      throwLater(error);
    }
  }
}

/** Once the others have been served: the kernel tells each event once, and none must be lost. */
function throwLater(error: unknown): void {
  setImmediate(() => {
    throw error;
  });
}
