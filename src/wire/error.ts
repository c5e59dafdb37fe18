/** How a peer broke the protocol. See `docs/errors.md`. */
export type WireErrorCode =
  | 'ERR_SOCKS_VERSION'
  | 'ERR_SOCKS_NO_METHODS'
  | 'ERR_SOCKS_METHOD_NOT_OFFERED'
  | 'ERR_SOCKS_PASSWORD_VERSION'
  | 'ERR_SOCKS_PASSWORD_ENCODING'
  | 'ERR_SOCKS_ADDRESS_TYPE'
  | 'ERR_SOCKS_NAME'
  | 'ERR_SOCKS_USER_ID'
  | 'ERR_SOCKS_RESERVED'
  | 'ERR_SOCKS_PROXY_HEADER'
  | 'ERR_HTTP_HEAD';

/** The peer broke the protocol. The message contains positions and values, never the bytes of a password. */
export class WireError extends Error {
  override readonly name = 'WireError';
  readonly code: WireErrorCode;

  constructor(code: WireErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
