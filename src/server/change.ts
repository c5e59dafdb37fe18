/** Something that is ready to be put in force, or to be given up. Neither fails. */
export interface Change {
  readonly commit: () => Promise<void>;
  readonly abort: () => Promise<void>;
}

/** Everything stays as it is. */
export const NONE: Change = { commit: async () => {}, abort: async () => {} };
