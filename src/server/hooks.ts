import type { LogEntry } from '../audit/line.ts';
import type { ConnectionRecord } from '../audit/record.ts';
import type { Identity } from '../auth/identity.ts';
import type { Destination, Facts } from '../policy/policy.ts';

/** Extensions by an embedding program. They all run in the program's own thread. */
export interface ServerHooks {
  /** Checks user names and passwords in place of the users file. @default the users of the configuration */
  readonly authenticate?: Authenticate | undefined;
  /** Called after the rules have allowed a request. @default the rules decide alone */
  readonly decide?: Decide | undefined;
  /**
   * Called when a connection has ended, with its record, regardless of `log` in its rule. Errors are logged,
   * and have no other effect. @default nothing
   */
  readonly onRecord?: ((record: ConnectionRecord) => void | Promise<void>) | undefined;
  /**
   * Called with each log line, down to `log.level`, regardless of where else it is written. Errors are
   * ignored. @default nothing
   */
  readonly onLog?: ((entry: LogEntry) => void | Promise<void>) | undefined;
  /** Closes the server. @default none */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Returns the identity, or `undefined` to refuse. `address` is the client's IP address. When it rejects, the
 * client is refused and the error is logged.
 */
export type Authenticate = (
  username: string,
  password: string,
  address: string,
) => Identity | undefined | Promise<Identity | undefined>;

/** `false` refuses a request that the rules have allowed. It cannot allow one that they refuse. */
export type Decide = (request: Facts & { readonly destination: Destination }) => boolean | Promise<boolean>;

/** Isolates a callback: its errors and rejections go to `failed`. */
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
