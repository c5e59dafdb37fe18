/** Why a name could not be resolved. See `docs/resolving.md`. */
export type ResolveErrorCode =
  /** There is no such name, or it has no address (or name) of the requested kind. */
  | 'ENOTFOUND'
  /** Not a host name: no query was sent. */
  | 'EBADNAME'
  /** All servers failed, refused, sent malformed answers or could not be reached. */
  | 'ESERVFAIL'
  /** No answer in time. */
  | 'ETIMEOUT'
  /** Too many queries are running and waiting. */
  | 'EBUSY'
  /** The resolver was closed. */
  | 'ECLOSED';

/** A name or an address that could not be resolved. */
export class ResolveError extends Error {
  override readonly name = 'ResolveError';
  readonly code: ResolveErrorCode;

  constructor(code: ResolveErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
