import { encode, RECURSION_AVAILABLE } from 'dns-packet';
import type { Answer } from 'dns-packet';
import { decodeReply, encodeQuery } from '../../../src/resolve/message.ts';
import type { QueryType } from '../../../src/resolve/message.ts';
import { formatIp, parseIp } from '../../../src/wire/ip.ts';
import { hex, keeps, same } from '../target.ts';
import type { Target } from '../target.ts';

const ID = 0x1234;
const NAME = 'www.test';
const DAY = 86_400;
const TYPES: readonly QueryType[] = ['A', 'AAAA', 'PTR'];

export const targets: readonly Target[] = [
  {
    name: 'dns-message',
    testRuns: 15_000,
    seeds: [
      seed('A', [{ type: 'A', name: NAME, ttl: 60, data: '192.0.2.1' }]),
      seed('A', [
        { type: 'CNAME', name: NAME, ttl: 9, data: 'a.test' },
        { type: 'A', name: 'a.test', ttl: 60, data: '192.0.2.1' },
      ]),
      seed('AAAA', [{ type: 'AAAA', name: NAME, ttl: 60, data: '2001:db8::1' }]),
      seed('PTR', [{ type: 'PTR', name: NAME, ttl: 60, data: 'host.test' }]),
      seed('A', [], 3),
      seed('A', [{ type: 'TXT', name: NAME, data: 'text' }]),
      seed('A', [{ type: 'MX', name: NAME, data: { exchange: 'mx.test', preference: 1 } }]),
    ],
    tokens: [
      'c00c',
      'c0',
      '00010001',
      '001c0001',
      '00050001',
      '00060001',
      '000c0001',
      '00290000',
      'ffffffff',
    ].map(hex),
    run(input) {
      const type = TYPES[(input[0] ?? 0) % TYPES.length]!;
      const query = encodeQuery(ID, NAME, type, true);
      const message = Buffer.from(input.subarray(1));
      if (message.length >= 2) message.writeUInt16BE(ID, 0);
      const reply = decodeReply(Buffer.from(message), query);
      same('it is read the same again', describe(decodeReply(Buffer.from(message), query)), describe(reply));
      const guessed = decodeReply(Buffer.from(message), { ...query, id: ID + 1 });
      keeps('a reply with another id is none', guessed === undefined);
      if (reply?.type !== 'records') return describe(reply)[0]!;
      const { data, ttl } = reply;
      keeps('a TTL is of 0 to a day', Number.isInteger(ttl) && ttl >= 0 && ttl <= DAY, () => `${ttl}`);
      for (const text of data) {
        keeps('data are texts', typeof text === 'string');
        const ip = parseIp(text);
        if (type === 'PTR') continue;
        keeps('an address is one', ip?.family === (type === 'A' ? 4 : 6), () => text);
        same('an address is written and read as it is', parseIp(formatIp(ip!)), ip);
      }
      return `${type} ${Math.min(data.length, 3)} ${ttl > 0}`;
    },
  },
];

/** The requested type, and an answer; RCODE 3 is NXDOMAIN. */
function seed(type: QueryType, answers: Answer[], rcode = 0): Uint8Array {
  const message = encode({
    type: 'response',
    id: ID,
    flags: RECURSION_AVAILABLE | rcode,
    questions: [{ name: NAME, type }],
    answers,
    authorities: [{ type: 'SOA', name: 'test', ttl: 60, data: { mname: 'a', rname: 'b', minimum: 30 } }],
  });
  return Buffer.concat([Uint8Array.of(TYPES.indexOf(type)), message]);
}

/** The comparable part of a reply: the cause of an unusable one is a new error each time. */
function describe(reply: ReturnType<typeof decodeReply>): string[] {
  if (reply === undefined) return ['none'];
  if (reply.type === 'records') return ['records', ...reply.data, `${reply.ttl}`];
  return [reply.type === 'failure' ? `failure ${reply.rcode}` : reply.type];
}
