/** One connection, from accept to end, whatever happened. Unknown fields are absent. */
export interface Record {
  /** Milliseconds since the epoch, when the connection was accepted. */
  readonly time: number;
  /** Unique in this process: a hexadecimal start time and a running number. */
  readonly id: string;
  /** host:port, IPv6 in brackets; so are listener, address and bound. */
  readonly client: string;
  readonly listener: string;
  readonly user?: string;
  readonly method?: string;
  readonly command?: string;
  /** As it was asked for: host:port. */
  readonly destination?: string;
  /** The address that was dialled. */
  readonly address?: string;
  readonly rule?: string;
  readonly route?: string;
  /** The local end towards the destination. */
  readonly bound?: string;
  /** Bytes from client to destination, and back. */
  readonly sent: number;
  readonly received: number;
  /** Milliseconds. */
  readonly duration: number;
  /** `who:phase` or `who:phase:detail`, see docs/records.md. */
  readonly end: string;
}
