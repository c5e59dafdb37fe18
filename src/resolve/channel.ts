import type { Query, Reply } from './message.ts';

/** Milliseconds for which a channel stays open with nothing to do. */
export const IDLE = 10_000;

/** A query with this id. */
export type WithId = (id: number) => Query;

/** A connection to a name server. It carries many queries at a time, and closes itself when it has carried none for a while. */
export interface Channel {
  /** False once it takes no more queries. */
  readonly isOpen: boolean;
  /** Calls back once, unless the returned function is called before, which gives the query up. */
  ask(withId: WithId, settle: (reply: Reply) => void, fail: (cause: unknown) => void): () => void;
  close(): void;
}
