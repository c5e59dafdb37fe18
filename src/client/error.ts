export type ProxyErrorCode =
  | 'ERR_PROXY_REFUSED'
  | 'ERR_PROXY_AUTHENTICATION'
  | 'ERR_PROXY_CLOSED'
  | 'ERR_PROXY_TIMEOUT';

/** The SOCKS server did not carry out the request. Contains no credentials. */
export class ProxyError extends Error {
  override readonly name = 'ProxyError';
  readonly code: ProxyErrorCode;
  /** The server's reply code, with ERR_PROXY_REFUSED: REP of SOCKS5 (RFC 1928 section 6), CD of SOCKS4. */
  readonly reply?: number;

  constructor(code: ProxyErrorCode, message: string, reply?: number) {
    super(message);
    this.code = code;
    if (reply !== undefined) this.reply = reply;
  }
}
