/**
 * The wire of SOCKS 4, 4A and 5: encoding and decoding of messages, and the handshakes of both sides, without
 * any I/O. A decoder returns a message and its size, returns `undefined` while bytes are missing, or throws a
 * WireError; an encoder throws a RangeError for a value that does not fit into the message.
 */
export {
  type Address,
  addressOf,
  AddressType,
  decodeAddress,
  encodeAddress,
  formatAddress,
  type HostPort,
  UNSPECIFIED,
} from './wire/address.ts';
export type { Decoded } from './wire/decoded.ts';
export { WireError, type WireErrorCode } from './wire/error.ts';

/** SOCKS5: RFC 1928. */
export {
  Command,
  decodeGreeting,
  decodeMethod,
  decodeSocks5Refusal,
  decodeSocks5Reply,
  decodeSocks5Request,
  encodeGreeting,
  encodeMethod,
  encodeSocks5Reply,
  encodeSocks5Request,
  Method,
  Reply,
  type Socks5Reply,
  type Socks5Request,
} from './wire/socks5.ts';

/** User name and password: RFC 1929. */
export {
  type Credentials,
  decodeCredentials,
  decodePasswordStatus,
  encodeCredentials,
  encodePasswordStatus,
  PasswordStatus,
} from './wire/password.ts';

/** SOCKS4 and SOCKS4A. */
export {
  decodeSocks4Refusal,
  decodeSocks4Reply,
  decodeSocks4Request,
  encodeSocks4Reply,
  encodeSocks4Request,
  type Socks4Reply,
  type Socks4Request,
  Socks4Result,
} from './wire/socks4.ts';

/** The header of datagrams: RFC 1928 section 7. */
export { decodeUdpHeader, encodeUdpHeader, LAST_FRAGMENT, type UdpHeader } from './wire/udp.ts';

/** Handshakes. */
export { ClientHandshake } from './handshake/client.ts';
export type { AnswerHttp } from './handshake/foreign.ts';
export type {
  ClientEvent,
  ClientProtocol,
  ClientHandshakeOptions,
  ClientHandshakeState,
  ForeignKind,
  RefusedEvent,
  ReplyEvent,
  RequestEvent,
  SendEvent,
  ServerEvent,
  ServerProtocol,
  ServerHandshakeState,
} from './handshake/protocol.ts';
export { ServerHandshake, type ServerHandshakeOptions } from './handshake/server.ts';
