import type { Server } from '../server/server.ts';
import { readVersion } from '../server/version.ts';
import type { LastReload, Program } from './program.ts';
import { readinessOf } from './readiness.ts';

/** GET /v1/status. */
export interface Status {
  readonly version: string;
  readonly node: string;
  readonly pid: number;
  /** ISO 8601, UTC. */
  readonly started: string;
  /** Seconds. */
  readonly uptime: number;
  readonly engine: string;
  readonly config?: string | undefined;
  readonly listeners: readonly string[];
  readonly ready: boolean;
  /** It accepts no connections any more, and ends when the open ones have. */
  readonly ending: boolean;
  /** One line each. */
  readonly faults: readonly string[];
  readonly sessions: { readonly open: number; readonly max: number };
  /** The open sessions of each thread. */
  readonly workers: readonly number[];
  readonly reload?: LastReload | undefined;
  /** Bytes. */
  readonly memory: { readonly resident: number };
}

export async function statusOf(server: Server, program: Program): Promise<Status> {
  const status = await server.status();
  const { workers, ending, startedAt, engine } = status;
  return {
    version: readVersion(),
    node: process.versions.node,
    pid: process.pid,
    started: new Date(startedAt).toISOString(),
    uptime: Math.round((Date.now() - startedAt) / 1000),
    engine,
    config: program.config,
    listeners: server.places,
    ...readinessOf(status),
    ending,
    sessions: {
      open: workers.reduce((sum, { open }) => sum + open, 0),
      max: server.settings.limits.connections,
    },
    workers: workers.map(({ open }) => open),
    reload: program.lastReload,
    memory: { resident: process.memoryUsage.rss() },
  };
}
