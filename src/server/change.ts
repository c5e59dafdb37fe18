/** A prepared change, to be committed or aborted. Neither can fail. */
export interface Change {
  readonly commit: () => Promise<void>;
  readonly abort: () => Promise<void>;
}

/** Nothing changes. */
export const NONE: Change = { commit: async () => {}, abort: async () => {} };
