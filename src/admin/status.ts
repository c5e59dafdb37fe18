import type { Server } from '../server/server.ts';

/** GET /v1/status. */
export async function statusOf(server: Server): Promise<Status> {
  return { pid: process.pid, listeners: server.places };
}

export interface Status {
  readonly pid: number;
  readonly listeners: readonly string[];
}
