import { WireError } from '../wire/error.ts';
import { type AnswerHttp, ForeignSide } from './foreign.ts';
import { HttpServer } from './http.ts';
import type { ForeignKind, ServerProtocol, ServerSide } from './protocol.ts';
import { socks4Server } from './socks4.ts';
import { socks5Server } from './socks5.ts';

/** The first bytes of a protocol. None is a prefix of another. */
interface Opening {
  readonly text: string;
  readonly protocol?: ServerProtocol;
  readonly side?: () => ServerSide;
  /**
   * The kind to report where the protocol is not enabled. @default the client gets a refusal in its own
   * protocol
   */
  readonly foreign?: ForeignKind;
}

/**
 * SOCKS by its version, HTTP/1 and HTTP/2, the handshake record of TLS, and the PROXY protocol, versions 1
 * and 2.
 */
const OPENINGS: readonly Opening[] = [
  { text: '\x05', protocol: 'socks5', side: () => socks5Server },
  { text: '\x04', protocol: 'socks4', side: () => socks4Server },
  { text: 'CONNECT ', protocol: 'http', side: () => new HttpServer(), foreign: 'http' },
  { text: 'GET ', foreign: 'http' },
  { text: 'HEAD ', foreign: 'http' },
  { text: 'POST ', foreign: 'http' },
  { text: 'PUT ', foreign: 'http' },
  { text: 'DELETE ', foreign: 'http' },
  { text: 'OPTIONS ', foreign: 'http' },
  { text: 'TRACE ', foreign: 'http' },
  { text: 'PATCH ', foreign: 'http' },
  { text: 'PRI ', foreign: 'http' },
  { text: '\x16\x03', foreign: 'tls' },
  { text: 'PROXY ', foreign: 'proxy' },
  { text: '\r\n\r\n\0\r\nQUIT\n', foreign: 'proxy' },
];

/** Detects the protocol by a client's first bytes; `undefined` while several are still possible. */
export function detect(
  bytes: Uint8Array,
  protocols: readonly ServerProtocol[],
  answerHttp: AnswerHttp | undefined,
): ServerSide | undefined {
  let isOpen = false;
  for (const opening of OPENINGS) {
    if (!agree(bytes, opening.text)) continue;
    if (bytes.length >= opening.text.length) return sideOf(opening, protocols, answerHttp);
    isOpen = true;
  }
  return isOpen ? undefined : new ForeignSide('unknown', undefined);
}

/** Whether one of them is a prefix of the other. */
function agree(bytes: Uint8Array, text: string): boolean {
  const common = Math.min(bytes.length, text.length);
  for (let i = 0; i < common; i++) if (bytes[i] !== text.charCodeAt(i)) return false;
  return true;
}

function sideOf(
  { protocol, side, foreign }: Opening,
  protocols: readonly ServerProtocol[],
  answerHttp: AnswerHttp | undefined,
): ServerSide {
  if (side !== undefined && protocols.includes(protocol!)) return side();
  return foreign === undefined ? switchedOff(protocol!, side!()) : new ForeignSide(foreign, answerHttp);
}

/** A side that can only refuse. */
function switchedOff(protocol: ServerProtocol, side: ServerSide): ServerSide {
  return {
    ...side,
    read() {
      throw new WireError('ERR_SOCKS_VERSION', `${protocol}, which is not enabled`);
    },
  };
}
