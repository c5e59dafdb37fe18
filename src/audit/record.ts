/** Who ended a connection. */
export type EndedBy =
  | 'client'
  | 'target'
  | 'upstream'
  | 'policy'
  | 'limit'
  | 'timeout'
  | 'admin'
  | 'internal'
  | 'none';

/** What was being done when it ended; in the order in which a connection goes through them. */
export type Phase = 'accept' | 'greeting' | 'auth' | 'request' | 'resolve' | 'dial' | 'bind' | 'relay';

/** How a connection ended: who, in which phase, and a detail (an error code, the name of a limit, …). */
export interface End {
  readonly by: EndedBy;
  readonly phase: Phase;
  readonly detail?: string;
}

/** One connection, from accept to end, whatever happened; the log puts the time in front. What is not known is absent. */
export type ConnectionRecord = {
  /** Unique in this process: its start in hexadecimal seconds, and a running number. */
  readonly id: string;
  /** host:port, IPv6 in brackets; so are listener, destination, address and bound. */
  readonly client: string;
  readonly listener: string;
  readonly user?: string | undefined;
  readonly method?: string | undefined;
  readonly command?: string | undefined;
  /** As it was asked for. */
  readonly destination?: string | undefined;
  /** The address that was dialled. */
  readonly address?: string | undefined;
  readonly rule?: string | undefined;
  readonly route?: string | undefined;
  /** The local end towards the destination; of a UDP association, where the client sends to. */
  readonly bound?: string | undefined;
  /** Bytes from client to destination, and back. */
  readonly sent: number;
  readonly received: number;
  /** Datagrams that went nowhere, by reason: `ENETUNREACH:2,refused:1`. */
  readonly dropped?: string | undefined;
  /** Milliseconds. */
  readonly duration: number;
  /** See `formatEnd`; absent while the connection is open. */
  readonly end?: string | undefined;
};

/** `client:relay`, `policy:request:no-rule`, `target:dial:ECONNREFUSED`: docs/records.md lists them. */
export function formatEnd({ by, phase, detail }: End): string {
  return detail === undefined ? `${by}:${phase}` : `${by}:${phase}:${detail}`;
}

/** True when a granted request came to its natural end. */
export function endedWell({ by, detail }: End): boolean {
  return detail === undefined && (by === 'client' || by === 'target' || by === 'none');
}
