import * as fc from 'fast-check';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { address, alias, authority, response, service, type Says } from '../../test/support/name-server.ts';
import { decodeReply, encodeQuery, type QueryType, type Reply } from './message.ts';

const ID = 0x1234;
const HERE = { host: '', port: 0 } as const;
const query = encodeQuery(ID, 'www.test', 'A', true);

function reply(says: Says, type: QueryType = 'A'): Reply | undefined {
  const asked = {
    over: 'udp',
    id: ID,
    name: 'www.test',
    type,
    edns: true,
    from: { host: '', port: 0 },
  } as const;
  return decodeReply(response(asked, says), encodeQuery(ID, 'www.test', type, true));
}

const chain = Array.from({ length: 17 }, (_, i) =>
  alias(i === 0 ? 'www.test' : `a${i}.test`, `a${i + 1}.test`),
);
const none = { type: 'records', data: [] } as const;

const replies: readonly (readonly [name: string, says: Says, reply: object | undefined])[] = [
  [
    'addresses, kept as long as the shortest-lived',
    { answers: [address('www.test', '192.0.2.1', 60), address('WWW.test', '192.0.2.2', 30)] },
    { type: 'records', data: ['192.0.2.1', '192.0.2.2'], ttl: 30 },
  ],
  [
    'an alias and its addresses in any order, as long as the shortest-lived',
    {
      answers: [
        address('b.test', '192.0.2.1', 60),
        alias('a.test', 'B.test', 20),
        alias('www.test', 'A.test', 40),
      ],
    },
    { type: 'records', data: ['192.0.2.1'], ttl: 20 },
  ],
  ['addresses of another name', { answers: [address('evil.test', '192.0.2.6')] }, { ...none, ttl: 0 }],
  ['another type', { answers: [address('www.test', '2001:db8::1')] }, { ...none, ttl: 0 }],
  ['another class', { answers: [{ ...address('www.test', '192.0.2.1'), class: 'CH' }] }, { ...none, ttl: 0 }],
  [
    'a TTL of 0',
    { answers: [address('www.test', '192.0.2.1', 0)] },
    { type: 'records', data: ['192.0.2.1'], ttl: 0 },
  ],
  [
    'a TTL below 0',
    { answers: [address('www.test', '192.0.2.1', 2 ** 31)] },
    { type: 'records', data: ['192.0.2.1'], ttl: 0 },
  ],
  [
    'a TTL above a day',
    { answers: [address('www.test', '192.0.2.1', 10 ** 6)] },
    { type: 'records', data: ['192.0.2.1'], ttl: 86_400 },
  ],
  ['no such name', { rcode: 3, authorities: [authority(300)] }, { ...none, ttl: 300 }],
  [
    'no such name, the SOA being shorter-lived',
    { rcode: 3, authorities: [authority(300, 10)] },
    { ...none, ttl: 10 },
  ],
  ['no such name for long', { rcode: 3, authorities: [authority(10 ** 6, 10 ** 6)] }, { ...none, ttl: 900 }],
  ['no such name without a SOA', { rcode: 3 }, { ...none, ttl: 0 }],
  [
    'no such name and yet an address',
    { rcode: 3, answers: [address('www.test', '192.0.2.1')] },
    { ...none, ttl: 0 },
  ],
  ['no data', { authorities: [authority(300)] }, { ...none, ttl: 300 }],
  [
    'an alias of nothing',
    { answers: [alias('www.test', 'a.test', 20)], authorities: [authority(300)] },
    { ...none, ttl: 20 },
  ],
  [
    'sixteen aliases',
    { answers: [...chain.slice(0, 16), address('a16.test', '192.0.2.1')] },
    { type: 'records', data: ['192.0.2.1'], ttl: 60 },
  ],
  ['seventeen aliases', { answers: [...chain, address('a17.test', '192.0.2.1')] }, { type: 'unusable' }],
  [
    'a loop of aliases',
    { answers: [alias('www.test', 'a.test'), alias('a.test', 'www.test')] },
    { type: 'unusable' },
  ],
  [
    'a loop of aliases without a name at its end',
    { rcode: 3, answers: [alias('www.test', 'www.test')] },
    { type: 'unusable' },
  ],
  ['a failure', { rcode: 2 }, { type: 'failure', rcode: 2 }],
  ['a failure without the question', { rcode: 1, questions: [] }, { type: 'failure', rcode: 1 }],
  [
    'an answer without the question',
    { questions: [], answers: [address('www.test', '192.0.2.1')] },
    undefined,
  ],
  [
    'the question in other letters',
    { question: { name: 'wWw.tEsT' }, answers: [address('www.test', '192.0.2.1', 9)] },
    { type: 'records', data: ['192.0.2.1'], ttl: 9 },
  ],
  [
    'another name',
    { question: { name: 'vvv.test' }, answers: [address('vvv.test', '192.0.2.6')] },
    undefined,
  ],
  ['a longer name', { question: { name: 'www.test.evil' } }, undefined],
  [
    'another type in the question',
    { question: { type: 'AAAA' }, answers: [address('www.test', '192.0.2.6')] },
    undefined,
  ],
  [
    'two questions',
    {
      questions: [
        { name: 'www.test', type: 'A' },
        { name: 'www.test', type: 'A' },
      ],
    },
    undefined,
  ],
  ['a query', { type: 'query' }, undefined],
  ['another id', { id: ID + 1, answers: [address('www.test', '192.0.2.6')] }, undefined],
  ['another opcode', { flags: 0x2000 }, undefined],
  ['truncated', { flags: 0x0200, answers: [address('www.test', '192.0.2.1')] }, { type: 'truncated' }],
];

for (const [name, says, expected] of replies) {
  test(`reply: ${name}`, () => {
    const actual = reply(says);
    if (expected === undefined) assert.equal(actual, undefined);
    else assert.partialDeepStrictEqual(actual, expected);
  });
}

test('a referral is the answer of a server that does not recurse', () => {
  const bytes = response({
    over: 'udp',
    id: ID,
    name: 'www.test',
    type: 'A',
    edns: true,
    from: { host: '', port: 0 },
  });
  bytes.writeUInt16BE(0x8100, 2);
  assert.equal(decodeReply(bytes, query)?.type, 'unusable');
});

test('names are returned as received', () => {
  const answers = [{ name: 'www.test', type: 'PTR', class: 'IN', ttl: 5, data: 'Host.test' } as const];
  assert.deepEqual(reply({ answers }, 'PTR'), { type: 'records', data: ['Host.test'], ttl: 5 });
});

const SERVICE = { priority: 10, weight: 60 } as const;

test('services, through an alias and with compressed names', () => {
  const answers = [
    alias('www.test', 'Srv.test', 40),
    service('srv.test', 'Proxy1.test', 1080, { ...SERVICE, ttl: 60 }),
    service('srv.test', '.', 0, { ttl: 30 }),
    service('other.test', 'evil.test', 1080),
    address('srv.test', '192.0.2.6'),
  ];
  assert.deepEqual(reply({ answers }, 'SRV'), {
    type: 'records',
    data: [],
    services: [
      { ...SERVICE, target: 'Proxy1.test', port: 1080 },
      { target: '.', port: 0, priority: 0, weight: 0 },
    ],
    ttl: 30,
  });
  const bytes = Buffer.from(
    // The answer's name points to the question, _s._tcp.x; its target ends with the x there.
    '123481800001000100000000' +
      '025f73045f74637001780000210001' +
      'c00c0021000100000007000b' +
      '000a003c0438027031c014',
    'hex',
  );
  assert.deepEqual(decodeReply(bytes, encodeQuery(ID, '_s._tcp.x', 'SRV', false)), {
    type: 'records',
    data: [],
    services: [{ ...SERVICE, target: 'p1.x', port: 1080 }],
    ttl: 7,
  });
});

test('no service, and a truncated one', () => {
  assert.deepEqual(reply({ authorities: [authority(9)] }, 'SRV'), { ...none, ttl: 9 });
  const asked = { over: 'udp', id: ID, name: 'www.test', type: 'SRV', edns: true, from: HERE } as const;
  const good = response(asked, { answers: [service('www.test', 'p.test', 1080, SERVICE)] });
  const services = encodeQuery(ID, 'www.test', 'SRV', true);
  for (let end = 0; end < good.length; end++) {
    assert.notEqual(
      decodeReply(Buffer.from(good.subarray(0, end)), services)?.type,
      'records',
      `cut at ${end}`,
    );
  }
});

test('the length of a padded query does not reveal the name', () => {
  for (const [name, size] of [
    ['a.test', 128],
    [`${'x'.repeat(60)}.${'y'.repeat(40)}.test`, 256],
  ] as const) {
    const { bytes, question } = encodeQuery(ID, name, 'A', true, true);
    assert.equal(bytes.length, size, name);
    assert.equal(question, encodeQuery(ID, name, 'A', false).question);
  }
  for (let length = 1; length < 60; length++)
    assert.equal(encodeQuery(ID, 'x'.repeat(length), 'A', true, true).bytes.length, 128);
});

test('records beyond a few hundred are not read', () => {
  const answers = Array.from({ length: 3000 }, (_, i) => address('www.test', `10.0.${i >>> 8}.${i & 255}`));
  const records = reply({ answers, authorities: [authority(1)] });
  assert.ok(records?.type === 'records');
  assert.equal(records.data.length, 256);
});

/** Records whose names are chains of pointers, each to the previous one, at the start of the answer. */
function tangled(records: number, jumps: number): Buffer {
  const head = Buffer.from(query.bytes.subarray(0, 26));
  head.writeUInt16BE(0x8180, 2);
  head.writeUInt16BE(records, 6);
  head.writeUInt16BE(0, 10);
  const pointers = Buffer.alloc(2 * jumps);
  const dataAt = head.length + 12;
  for (let i = 0; i < jumps; i++)
    pointers.writeUInt16BE(0xc000 | (i === 0 ? 12 : dataAt + 2 * (i - 1)), 2 * i);
  const last = dataAt + Math.max(0, 2 * (jumps - 1));
  const others = Array.from({ length: records - 1 }, () => recordOf(last, 1, Buffer.of(192, 0, 2, 1)));
  return Buffer.concat([head, recordOf(12, 0xff00, pointers), ...others]);
}

function recordOf(owner: number, type: number, data: Buffer): Buffer {
  const fixed = Buffer.alloc(12);
  fixed.writeUInt16BE(0xc000 | owner, 0);
  fixed.writeUInt16BE(type, 2);
  fixed.writeUInt16BE(1, 4);
  fixed.writeUInt16BE(data.length, 10);
  return Buffer.concat([fixed, data]);
}

for (const [jumps, type] of [
  [1, 'records'],
  [15, 'records'],
  [16, 'unusable'],
  [8000, 'unusable'],
] as const) {
  test(`names behind ${jumps} pointers and their own: ${type}`, () => {
    assert.equal(decodeReply(tangled(2, jumps), query)?.type, type);
  });
}

test('names with too many parts in all are not read', () => {
  const name = `${'a.'.repeat(100)}test`;
  const answers = (count: number): Says => ({
    answers: Array.from({ length: count }, () => address(name, '192.0.2.1')),
  });
  assert.equal(reply(answers(150))?.type, 'records');
  assert.equal(reply(answers(200))?.type, 'unusable');
});

test('the data of other types is not examined', () => {
  const broken = { name: 'www.test', type: 'MX', data: { exchange: 'a.test', preference: 1 } } as const;
  const answers = [broken, address('www.test', '192.0.2.1')];
  const bytes = response(
    { over: 'udp', id: ID, name: 'www.test', type: 'A', edns: true, from: HERE },
    { answers },
  );
  const at = bytes.indexOf(Buffer.from('\x01a\x04test\0'));
  bytes.writeUInt8(0xff, at);
  assert.partialDeepStrictEqual(decodeReply(bytes, query), { data: ['192.0.2.1'] });
});

test('broken data after the answer does no harm', () => {
  const bytes = response(
    { over: 'udp', id: ID, name: 'www.test', type: 'A', edns: true, from: { host: '', port: 0 } },
    { answers: [address('www.test', '192.0.2.1')] },
  );
  bytes.writeUInt16BE(7, 10); // additional records that do not exist
  assert.partialDeepStrictEqual(decodeReply(bytes, query), { data: ['192.0.2.1'] });
});

test('no bytes of any kind make it throw', () => {
  const header = query.bytes.subarray(0, 26); // with the question
  const like = [
    query,
    ...(['AAAA', 'PTR', 'SRV'] as const).map((type) => encodeQuery(ID, 'www.test', type, false)),
  ];
  const types = new Set<string | undefined>();
  const check = (bytes: Uint8Array): void => {
    for (const one of like) types.add(decodeReply(Buffer.from(bytes), one)?.type);
  };
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(0xffff), (tail, counts) => {
      check(tail);
      const bytes = Buffer.concat([header, tail]);
      bytes.writeUInt16BE(0x8180, 2);
      bytes.writeUInt16BE(counts, 6);
      check(bytes);
    }),
    { numRuns: 1000 },
  );
  assert.ok(types.has('unusable') && types.has(undefined));
});

test('a good answer, truncated anywhere or with any byte changed, does not make it throw', () => {
  const asked = {
    over: 'udp',
    id: ID,
    name: 'www.test',
    type: 'A',
    edns: true,
    from: { host: '', port: 0 },
  } as const;
  const good = response(asked, {
    answers: [
      alias('www.test', 'a.test'),
      address('a.test', '192.0.2.1'),
      { name: 'a.test', type: 'TXT', data: 'text' },
    ],
    authorities: [authority(300)],
  });
  for (let end = 0; end < good.length; end++) {
    const cut = decodeReply(Buffer.from(good.subarray(0, end)), query)?.type;
    assert.notEqual(cut, 'records', `cut at ${end}`);
  }
  for (let at = 0; at < good.length; at++) {
    for (const byte of [0, 1, 0x3f, 0x40, 0x80, 0xc0, 0xff]) {
      const changed = Buffer.from(good);
      changed[at] = byte;
      assert.doesNotThrow(() => decodeReply(changed, query), `byte ${at} = ${byte}`);
    }
  }
});
