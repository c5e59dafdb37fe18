import { Reply } from '../wire/socks5.ts';

/** The only mapping from error codes to replies (RFC 1928 section 6). */
const REPLIES: Readonly<Record<string, Reply>> = {
  // rules and limits
  EACCES: Reply.notAllowed,
  EPERM: Reply.notAllowed,
  // routing
  ENETUNREACH: Reply.networkUnreachable,
  ENETDOWN: Reply.networkUnreachable,
  ENONET: Reply.networkUnreachable,
  EHOSTUNREACH: Reply.hostUnreachable,
  EHOSTDOWN: Reply.hostUnreachable,
  // names
  ENOTFOUND: Reply.hostUnreachable,
  ESERVFAIL: Reply.hostUnreachable,
  ETIMEOUT: Reply.hostUnreachable,
  EBADNAME: Reply.hostUnreachable,
  // the target
  ECONNREFUSED: Reply.connectionRefused,
  ECONNRESET: Reply.connectionRefused,
  ETIMEDOUT: Reply.ttlExpired,
  EAFNOSUPPORT: Reply.addressTypeNotSupported,
};

/**
 * This machine is out of descriptors, memory, ports, addresses or queue space, whatever the operation was.
 */
export function isShortage(code: string): boolean {
  return SHORTAGES.has(code);
}

const SHORTAGES: ReadonlySet<string> = new Set([
  'EMFILE',
  'ENFILE',
  'ENOMEM',
  'ENOBUFS',
  'EADDRNOTAVAIL',
  'EBUSY',
]);

/** The reply for a failure to dial, bind or resolve; an unlisted code is a `generalFailure`. */
export function replyTo(code: string | undefined): Reply {
  return REPLIES[code ?? ''] ?? Reply.generalFailure;
}
