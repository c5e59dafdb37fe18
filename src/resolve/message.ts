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

/** A question on the wire, with the parts that its answer must repeat. */
export interface Query {
  readonly bytes: Buffer;
  readonly id: number;
  readonly name: string;
  readonly type: QueryType;
  /** The question section in the form in which it is compared: lower case, one character per byte. */
  readonly question: string;
}

export type Reply =
  | Records
  /** The complete answer requires TCP. */
  | { readonly type: 'truncated' }
  /** Any RCODE except NOERROR and NXDOMAIN. */
  | { readonly type: 'failure'; readonly rcode: number }
  /** Malformed, or from a server that does not recurse. */
  | { readonly type: 'unusable'; readonly cause: unknown };

/**
 * The records of a name of the requested type: literal addresses or names, as received; empty when there is
 * no such name or record.
 */
export interface Records {
  readonly type: 'records';
  readonly data: readonly string[];
  /** Used instead of `data` for SRV records. */
  readonly services?: readonly Service[];
  /** Seconds that this may be cached; 0 = not at all. */
  readonly ttl: number;
}

/** An SRV record (RFC 2782). */
export interface Service {
  /** A name; `.` means that the service is not available. */
  readonly target: string;
  readonly port: number;
  readonly priority: number;
  readonly weight: number;
}

const Rcode = { noError: 0, noSuchName: 3 } as const;

const HEADER_SIZE = 12;
/** Bytes of an OPT record without options, and of an option header. */
const EDNS_SIZE = 11;
const OPTION_SIZE = 4;
/** The padding option (RFC 7830), and the block size of a padded query (RFC 8467 section 4.1). */
const PADDING = 12;
const PADDED_TO = 128;
/** Fits into the packets of every path, which avoids fragments: they can be forged (DNS flag day 2020). */
const UDP_PAYLOAD_SIZE = 1232;
/** CNAME records followed within an answer. */
const MAX_ALIASES = 16;
/** Seconds: one day. */
const MAX_TTL = 86_400;
/** Seconds: a quarter of an hour (RFC 2308 section 5 allows up to three hours). */
const MAX_NEGATIVE_TTL = 900;

/**
 * A query for a canonical name, with recursion desired; with EDNS (RFC 6891) unless the server does not
 * support it.
 */
export function encodeQuery(id: number, name: string, type: QueryType, edns: boolean, padded = false): Query {
  const header: Packet = { type: 'query', id, flags: RECURSION_DESIRED, questions: [{ name, type }] };
  const plain = encode(header);
  const additional = padded ? { ...EDNS, options: [paddingFor(plain.length)] } : EDNS;
  const bytes = edns ? encode({ ...header, additionals: [additional] }) : plain;
  return { bytes, id, name, type, question: questionOf(plain, plain.length) };
}

/**
 * Decodes a message from a server. `undefined` if it is not an answer to this query: a different id or
 * question, or not a response; its sender may be guessing. An error response may omit the question. Messages
 * longer than `most` bytes are not read. Never throws.
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

/** Follows aliases from the requested name to its records. Records of any other name are ignored. */
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

/**
 * RFC 2308 section 5: the lesser of the SOA's own TTL and its minimum. Without a SOA the answer must not be
 * cached.
 */
function negativeTtl(packet: DecodedPacket): number {
  const soa = packet.authorities?.find((record) => record.type === 'SOA');
  if (soa === undefined) return 0;
  return Math.min(MAX_NEGATIVE_TTL, ttlOf(soa), soa.data.minimum ?? 0);
}

type OfUse = StringAnswer | SrvAnswer;

/** Whether the record is an address, alias, name or service of class IN. */
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
