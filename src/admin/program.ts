/** The program around a server, which alone has its configuration file and ends with it. */
export interface Program {
  /** The configuration file, if there is one. */
  readonly config: string | undefined;
  readonly lastReload: LastReload | undefined;
  /** Reads the configuration again and applies it; when it is faulty, nothing changes. */
  reload(): Promise<ReloadOutcome>;
  /** Begins to end: no new connections, and the open ones may finish. Further calls do nothing. */
  end(): void;
}

/** `report`: the warnings, or why nothing has changed, as shown to the operator. */
export type ReloadOutcome =
  | { readonly ok: true; readonly report: string }
  /** `configuration`: a mistake in a file; `failed`: the machine refused something. */
  | { readonly ok: false; readonly reason: 'configuration' | 'failed' | 'ending'; readonly report: string };

/** When a reload ended, and how. */
export interface LastReload {
  /** ISO 8601, UTC. */
  readonly time: string;
  readonly ok: boolean;
  readonly report: string;
}
