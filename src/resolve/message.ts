import {
  decode,
  encode,
  RECURSION_DESIRED,
  type Answer,
  type DecodedPacket,
  type OptAnswer,
  type Packet,
  type PacketOpt,
  type SrvAnswer,
  type StringAnswer,
} from 'dns-packet';
import { limitWork } from './bounds.ts';

export type QueryType = 'A' | 'AAAA' | 'PTR' | 'SRV';

/** A question on the wire, and what its answer has to repeat. */
export interface Query {
  readonly bytes: Buffer;
  readonly id: number;
  readonly name: string;
  readonly type: QueryType;
  /** The question section as it is compared: lower case, a character per byte. */
  readonly question: string;
}

export type Reply =
  | Records
  /** The whole answer takes TCP. */
  | { readonly type: 'truncated' }
  /** Any RCODE but NOERROR and NXDOMAIN. */
  | { readonly type: 'failure'; readonly rcode: number }
  /** Broken, or from a server that does not recurse. */
  | { readonly type: 'unusable'; readonly cause: unknown };

/** What a name has of the type that was asked for: literal addresses or names, as they came; nothing when there is no such name or record. */
export interface Records {
  readonly type: 'records';
  readonly data: readonly string[];
  /** Instead, where SRV was asked for and is there. */
  readonly services?: readonly Service[];
  /** Seconds that this may be kept; 0 = not at all. */
  readonly ttl: number;
}

/** An SRV record (RFC 2782). */
export interface Service {
  /** A name; `.` says that the service is not there. */
  readonly target: string;
  readonly port: number;
  readonly priority: number;
  readonly weight: number;
}

const Rcode = { noError: 0, noSuchName: 3 } as const;

const HEADER_SIZE = 12;
/** Bytes of an OPT record without options, and of an option without data. */
const EDNS_SIZE = 11;
const OPTION_SIZE = 4;
/** The option of RFC 7830, and bytes of which a padded query has a multiple (RFC 8467 section 4.1). */
const PADDING = 12;
const PADDED_TO = 128;
/** Fits into every path's packets: no fragments, which could be forged (DNS flag day 2020). */
const UDP_PAYLOAD_SIZE = 1232;
/** CNAME records followed in an answer. */
const MAX_ALIASES = 16;
/** Seconds: a day. */
const MAX_TTL = 86_400;
/** Seconds: a quarter of an hour (RFC 2308 section 5 allows up to three hours). */
const MAX_NEGATIVE_TTL = 900;

/** A question for a canonical name, with recursion desired; with EDNS (RFC 6891) unless the server does not know it. */
export function encodeQuery(id: number, name: string, type: QueryType, edns: boolean, padded = false): Query {
  const header: Packet = { type: 'query', id, flags: RECURSION_DESIRED, questions: [{ name, type }] };
  const plain = encode(header);
  const additional = padded ? { ...EDNS, options: [paddingFor(plain.length)] } : EDNS;
  const bytes = edns ? encode({ ...header, additionals: [additional] }) : plain;
  return { bytes, id, name, type, question: questionOf(plain, plain.length) };
}

/**
 * Reads what came from a server. `undefined` is no answer to this query: another id, another question, no response;
 * whoever sent it has guessed. An error may come without the question. One of more than `most` bytes is not read. Never throws.
 */
export function decodeReply(bytes: Buffer, query: Query, most: number = Infinity): Reply | undefined {
  if (bytes.length < HEADER_SIZE || bytes.readUInt16BE(0) !== query.id) return undefined;
  const flags = bytes.readUInt16BE(2);
  if (flags >>> 11 !== 0b1_0000) return undefined; // QR and opcode: the response to a query
  const questions = bytes.readUInt16BE(4);
  const rcode = flags & 0xf;
  const failed = rcode !== Rcode.noError && rcode !== Rcode.noSuchName;
  if (failed && questions === 0) return { type: 'failure', rcode };
  if (questions !== 1 || questionOf(bytes, HEADER_SIZE + query.question.length) !== query.question)
    return undefined;
  if (failed) return { type: 'failure', rcode };
  if ((flags & 0x0200) !== 0) return { type: 'truncated' };
  try {
    if (bytes.length > most) throw new Error('much longer than requested');
    const extended = (limitWork(bytes) << 4) | rcode;
    if (extended !== rcode) return { type: 'failure', rcode: extended };
    const packet = decode(bytes);
    if (decode.bytes > bytes.length) throw new Error('the last record is cut short');
    if (isReferral(packet, rcode)) throw new Error('a referral: the server does not recurse');
    return readRecords(packet, query, rcode === Rcode.noSuchName);
  } catch (cause) {
    return { type: 'unusable', cause };
  }
}

const EDNS: OptAnswer = {
  type: 'OPT',
  name: '.',
  udpPayloadSize: UDP_PAYLOAD_SIZE,
  extendedRcode: 0,
  ednsVersion: 0,
  flags: 0,
  flag_do: false,
  options: [],
};

/** The length of an encrypted query must not reveal the name. */
function paddingFor(size: number): PacketOpt {
  const before = size + EDNS_SIZE + OPTION_SIZE;
  return { code: PADDING, length: Math.ceil(before / PADDED_TO) * PADDED_TO - before };
}

function questionOf(message: Buffer, end: number): string {
  return message.toString('latin1', HEADER_SIZE, end).toLowerCase();
}

function isReferral(packet: DecodedPacket, rcode: number): boolean {
  return rcode === Rcode.noError && packet.answers?.length === 0 && !packet.flag_aa && !packet.flag_ra;
}

/** Follows the aliases from the name that was asked for to its records. Records of any other name are no answer. */
function readRecords(packet: DecodedPacket, query: Query, noSuchName: boolean): Records {
  const answers = (packet.answers ?? []).filter(isOfUse);
  let owner = query.name;
  let ttl = MAX_TTL;
  for (let aliases = 0; aliases <= MAX_ALIASES; aliases++) {
    const own = answers.filter((record) => record.name.toLowerCase() === owner);
    const records = own.filter((record) => record.type === query.type);
    if (records.length > 0 && !noSuchName) {
      const data = records.filter(isText).map((record) => record.data);
      const services = records.filter(isService).map((record) => serviceOf(record.data));
      const said = services.length > 0 ? { data, services } : { data };
      return { type: 'records', ...said, ttl: Math.min(ttl, ...records.map(ttlOf)) };
    }
    const alias = own.filter(isText).find((record) => record.type === 'CNAME');
    if (alias === undefined) return { type: 'records', data: [], ttl: Math.min(ttl, negativeTtl(packet)) };
    ttl = Math.min(ttl, ttlOf(alias));
    owner = alias.data.toLowerCase();
  }
  throw new Error(`more than ${MAX_ALIASES} aliases`);
}

/** RFC 2308 section 5: the lesser of the SOA's own TTL and its minimum. Without a SOA the answer must not be kept. */
function negativeTtl(packet: DecodedPacket): number {
  const soa = packet.authorities?.find((record) => record.type === 'SOA');
  if (soa === undefined) return 0;
  return Math.min(MAX_NEGATIVE_TTL, ttlOf(soa), soa.data.minimum ?? 0);
}

type OfUse = StringAnswer | SrvAnswer;

/** An address, an alias, a name or a service, of class IN. */
function isOfUse(record: Answer): record is OfUse {
  if (record.type === 'OPT' || record.class !== 'IN') return false;
  return record.type === 'SRV' || typeof record.data === 'string';
}

function isService(record: OfUse): record is SrvAnswer {
  return record.type === 'SRV';
}

function isText(record: OfUse): record is StringAnswer {
  return record.type !== 'SRV';
}

function serviceOf({ target, port, priority = 0, weight = 0 }: SrvAnswer['data']): Service {
  return { target, port, priority, weight };
}

/** A TTL with the top bit set counts as 0 (RFC 2181 section 8). */
function ttlOf({ ttl = 0 }: { readonly ttl?: number | undefined }): number {
  return ttl > 0x7fff_ffff ? 0 : ttl;
}
