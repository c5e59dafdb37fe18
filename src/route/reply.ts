import { Reply } from '../wire/socks5.ts';

/** The one table from a failure, by its error code, to what the client is told (RFC 1928 section 6). */
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

/** This machine is out of descriptors, memory, ports, addresses or queue, whatever was being done. */
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

/** What to answer when dialling, binding or resolving failed with this code; a failure of our own is `generalFailure`. */
export function replyTo(code: string | undefined): Reply {
  return REPLIES[code ?? ''] ?? Reply.generalFailure;
}
