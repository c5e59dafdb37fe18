/** Why a name has no answer. `docs/resolving.md` says more about each. */
export type ResolveErrorCode =
  /** There is no such name, or it has no address (or no name) of the kind that was asked for. */
  | 'ENOTFOUND'
  /** No host name: nothing was asked. */
  | 'EBADNAME'
  /** Every server failed, refused, answered nonsense or could not be reached. */
  | 'ESERVFAIL'
  /** No answer in time. */
  | 'ETIMEOUT'
  /** Too many queries are under way and waiting. */
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
