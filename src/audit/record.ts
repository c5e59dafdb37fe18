/** The parts of an end code, `by:phase` or `by:phase:detail`. docs/records.md explains each of them. */
export const END_CODES = {
  /** Who ended a connection. */
  by: ['client', 'target', 'upstream', 'policy', 'limit', 'timeout', 'admin', 'internal', 'none'],
  /** What was being done when it ended; in the order in which a connection goes through them. */
  phase: ['accept', 'greeting', 'auth', 'request', 'resolve', 'dial', 'bind', 'relay'],
  /** Details in garter's own words. */
  detail: [
    // another protocol
    'http',
    'tls',
    'no-tls',
    'proxy',
    'unknown',
    // who it is
    'no-method',
    'wrong',
    'expired',
    'back-off',
    'busy',
    'certificate-user',
    // rules
    'rule',
    'no-rule',
    'method',
    'own-port',
    'no-address',
    'no-route',
    'interface',
    'embedder',
    'revoked',
    'user-gone',
    // the request
    'bad-name',
    'numeric-name',
    'command',
    'address-type',
    'port-0',
    'declared-port',
    'port-conflict',
    'data',
    'wrong-peer',
    // upstreams
    'closed',
    'password',
    'no-certificate',
    'encrypted',
    'relay-address',
    'loop',
    // limits
    'connections',
    'per-address',
    'unauthenticated',
    'memory',
    'sessions',
    'sessions-per-user',
    'sessions-per-address',
    'rate',
    'rate-per-address',
    'quota-per-user',
    'duration',
    'udp-ports',
    'table',
    // time-outs
    'idle',
    'half-close',
    // the server
    'drain',
    'close',
    'thread',
    'unresolved',
  ],
} as const;

export type EndedBy = (typeof END_CODES.by)[number];
export type Phase = (typeof END_CODES.phase)[number];

/** A detail in garter's own words, or somebody else's code: of an error, a TLS alert, or an upstream's reply. */
export type EndDetail =
  | (typeof END_CODES.detail)[number]
  | Uppercase<string>
  | `alert-${string}`
  | `reply-${number}`;

/** How a connection ended. */
export interface End {
  readonly by: EndedBy;
  readonly phase: Phase;
  readonly detail?: EndDetail;
}

/** When a record is made: a request was granted and goes on, or the connection has ended, in a natural way or not. */
export type RecordEvent = 'connect' | 'disconnect' | 'error';

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
