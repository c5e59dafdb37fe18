/** Records of an answer that are examined. */
const MAX_RECORDS = 256;
/**
 * Pointers within one name (RFC 1035 section 4.1.4), each to an earlier position: honest servers use one or
 * two.
 */
const MAX_JUMPS = 16;
/** Labels and pointers of all names together: enough for 256 names of IPv6 addresses, twice. */
const MAX_STEPS = 16_384;
const HEADER_SIZE = 12;
/** Type, class, TTL and length of a record. */
const FIXED_SIZE = 10;

const Type = { a: 1, cname: 5, soa: 6, ptr: 12, aaaa: 28, srv: 33, opt: 41, unknown: 0xff00 } as const;

/** Offsets of names in the data of supported records; the second name of a SOA follows the first. */
const ANSWERS: ReadonlyMap<number, readonly number[]> = new Map([
  [Type.a, []],
  [Type.aaaa, []],
  [Type.cname, [0]],
  [Type.ptr, [0]],
  [Type.srv, [6]],
]);
const AUTHORITIES: ReadonlyMap<number, readonly number[]> = new Map([[Type.soa, [0, 0]]]);

/**
 * Prepares a response with one question for a decoder without limits: counts are reduced to what is needed,
 * and records of other types get an unknown type, so that their data is not decoded. Throws when the names
 * cost too much or a record is truncated. Returns the upper bits of the RCODE (RFC 6891 section 6.1.3), which
 * are in the additional records.
 */
export function limitWork(bytes: Buffer): number {
  const walk = new Walk(bytes);
  walk.name();
  walk.at += 4; // type and class of the question
  const answers = bytes.readUInt16BE(6);
  const authorities = answers > MAX_RECORDS ? 0 : Math.min(bytes.readUInt16BE(8), MAX_RECORDS);
  const additionals =
    answers > MAX_RECORDS || bytes.readUInt16BE(8) > MAX_RECORDS ? 0 : bytes.readUInt16BE(10);
  bytes.writeUInt16BE(Math.min(answers, MAX_RECORDS), 6);
  bytes.writeUInt16BE(authorities, 8);
  bytes.writeUInt16BE(0, 10);
  for (let i = Math.min(answers, MAX_RECORDS); i > 0; i--) walk.record(ANSWERS);
  for (let i = authorities; i > 0; i--) walk.record(AUTHORITIES);
  return extendedRcode(walk, Math.min(additionals, MAX_RECORDS));
}

class Walk {
  at = HEADER_SIZE;
  readonly bytes: Buffer;
  #steps = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  record(ofUse: ReadonlyMap<number, readonly number[]>): void {
    this.name();
    const head = this.at;
    const names = ofUse.get(this.bytes.readUInt16BE(head));
    if (names === undefined) this.bytes.writeUInt16BE(Type.unknown, head);
    const data = head + FIXED_SIZE;
    const end = data + this.bytes.readUInt16BE(head + 8);
    if (end > this.bytes.length) throw new Error('a record is cut short');
    this.at = data;
    for (const offset of names ?? []) {
      this.at += offset;
      this.name();
    }
    this.at = end;
  }

  /** Skips a name, after checking it. */
  name(): void {
    let { at } = this;
    let jumps = 0;
    for (;;) {
      if (++this.#steps > MAX_STEPS) throw new Error('names with too many parts');
      const length = this.bytes.readUInt8(at);
      if (length < 0x40) {
        at += 1 + length;
        if (length === 0) break;
        continue;
      }
      const target = this.bytes.readUInt16BE(at) & 0x3fff;
      if (jumps++ === 0) this.at = at + 2;
      if (jumps > MAX_JUMPS) throw new Error('a name with too many pointers');
      at = target;
    }
    if (jumps === 0) this.at = at;
  }
}

/** Malformed data there is ignored. */
function extendedRcode(walk: Walk, additionals: number): number {
  try {
    for (let i = additionals; i > 0; i--) {
      walk.name();
      const head = walk.at;
      if (walk.bytes.readUInt16BE(head) === Type.opt) return walk.bytes.readUInt8(head + 4);
      walk.at = head + FIXED_SIZE + walk.bytes.readUInt16BE(head + 8);
    }
  } catch {
    // There are no upper bits without an OPT record.
  }
  return 0;
}
