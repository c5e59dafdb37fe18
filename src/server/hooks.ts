import type { LogEntry } from '../audit/line.ts';
import type { ConnectionRecord } from '../audit/record.ts';
import type { Identity } from '../auth/identity.ts';
import type { Destination, Facts } from '../policy/policy.ts';

/** What an embedding program can add to the configuration. All of it runs in the program's own thread. */
export interface ServerHooks {
  /** Checks user names and passwords in place of the users file. @default the users of the configuration */
  readonly authenticate?: Authenticate | undefined;
  /** Asked after the rules have allowed a request. @default what the rules say */
  readonly decide?: Decide | undefined;
  /**
   * Called when a connection has ended, with its record, whatever `log` of its rule says. What it throws is logged, and harms nothing.
   * @default nothing
   */
  readonly onRecord?: ((record: ConnectionRecord) => void | Promise<void>) | undefined;
  /** Called with each line of the log, down to `log.level`, wherever else it is written. What it throws is ignored. @default nothing */
  readonly onLog?: ((entry: LogEntry) => void | Promise<void>) | undefined;
  /** Closes the server. @default none */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Says who it is, or `undefined` to refuse. `address` is the client's IP address. When it rejects, this client is refused and the
 * error is logged.
 */
export type Authenticate = (
  username: string,
  password: string,
  address: string,
) => Identity | undefined | Promise<Identity | undefined>;

/** `false` refuses a request that the rules have allowed. It cannot allow what they refuse. */
export type Decide = (request: Facts & { readonly destination: Destination }) => boolean | Promise<boolean>;

/** A callback whose faults are its own: what it throws, or rejects with, goes to `failed`. */
export function shield<T>(
  callback: (value: T) => unknown,
  failed: (error: unknown) => void,
): (value: T) => void {
  return (value) => {
    try {
      const result = callback(value);
      if (result instanceof Promise) result.catch(failed);
    } catch (error) {
      failed(error);
    }
  };
}
