/** The parts of an end code, `by:phase` or `by:phase:detail`, explained in docs/records.md. */
export const END_CODES = {
  /** What ended the connection. */
  by: ['client', 'target', 'upstream', 'policy', 'limit', 'timeout', 'admin', 'internal', 'none'],
  /** The phase in which it ended, in the order in which a connection passes through them. */
  phase: ['accept', 'greeting', 'auth', 'request', 'resolve', 'dial', 'bind', 'relay'],
  /** garter's own details. */
  detail: [
    // another protocol
    'http',
    'tls',
    'no-tls',
    'proxy',
    'unknown',
    // authentication
    'no-method',
    'wrong',
    'wrong-again',
    'expired',
    'disabled',
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
    'family',
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
    'bind-ports',
    'table',
    // time-outs
    'idle',
    'half-close',
    // the server
    'killed',
    'drain',
    'close',
    'thread',
  ],
} as const;

export type EndedBy = (typeof END_CODES.by)[number];
export type Phase = (typeof END_CODES.phase)[number];

/** One of garter's own details, or a foreign code: of an error, a TLS alert, or an upstream's reply. */
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

/**
 * When a record is made: a request was granted and continues, it still does after a while, or the connection has ended,
 * normally or not.
 */
export type RecordEvent = 'connect' | 'interim' | 'disconnect' | 'error';

/** Whether the record is that of an end, of which each connection has one. */
export function isEnd(event: RecordEvent): boolean {
  return event === 'disconnect' || event === 'error';
}

/**
 * One connection, from accept to end, whatever happened; the log adds the time in front. Unknown values are
 * absent.
 */
export type ConnectionRecord = {
  /** Unique in this process: its start time in hexadecimal seconds, and a sequence number. */
  readonly id: string;
  /** host:port, IPv6 in brackets; the same for listener, destination, address and bound. */
  readonly client: string;
  readonly listener: string;
  readonly user?: string | undefined;
  /** A user name that nothing confirms: the user id of SOCKS4. */
  readonly claimed?: string | undefined;
  readonly method?: string | undefined;
  readonly command?: string | undefined;
  /** As requested. */
  readonly destination?: string | undefined;
  /** The address that was dialled. */
  readonly address?: string | undefined;
  readonly rule?: string | undefined;
  readonly route?: string | undefined;
  /**
   * The local address towards the destination; for a UDP association, the address that the client sends to.
   */
  readonly bound?: string | undefined;
  /** Bytes from client to destination, and back. */
  readonly sent: number;
  readonly received: number;
  /** Datagrams dropped, by reason: `ENETUNREACH:2,refused:1`. */
  readonly dropped?: string | undefined;
  /** Milliseconds. */
  readonly duration: number;
  /** The upstream server that failed, where it was one. */
  readonly at?: string | undefined;
  /** See `formatEnd`; absent while the connection is open. */
  readonly end?: string | undefined;
};

/** `client:relay`, `policy:request:no-rule`, `target:dial:ECONNREFUSED`: docs/records.md lists them. */
export function formatEnd({ by, phase, detail }: End): string {
  return detail === undefined ? `${by}:${phase}` : `${by}:${phase}:${detail}`;
}

/** True when a granted request ended normally. */
export function endedWell({ by, detail }: End): boolean {
  return detail === undefined && (by === 'client' || by === 'target' || by === 'none');
}
