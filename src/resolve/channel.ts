import type { Query, Reply } from './message.ts';

/** Milliseconds before an idle channel is closed. */
export const IDLE = 10_000;

/** Makes a query with the given id. */
export type WithId = (id: number) => Query;

/** A connection to a name server. It carries many concurrent queries, and closes itself when idle. */
export interface Channel {
  /** False once it accepts no more queries. */
  readonly isOpen: boolean;
  /** Calls back once; calling the returned function before that abandons the query. */
  ask(withId: WithId, settle: (reply: Reply) => void, fail: (cause: unknown) => void): () => void;
  close(): void;
}
