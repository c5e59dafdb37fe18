import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { test } from 'node:test';
import type { OptAnswer } from 'dns-packet';
import {
  address,
  alias,
  response,
  startNameServer,
  type Asked,
  type NameServer,
  type Script,
} from '../../test/support/name-server.ts';
import { until } from '../../test/support/process.ts';
import type { Endpoint } from '../wire/address.ts';
import { EdnsMemory } from './edns.ts';
import { Channels } from './encrypted.ts';
import type { Records } from './message.ts';
import { query } from './stub.ts';

const TRUNCATED = 0x0200;
const ours: Script = (asked) => [response(asked, { answers: [address(asked.name, '192.0.2.1')] })];
const silent: Script = () => [];
const never: Script = () => new Promise(() => undefined);
const fails =
  (rcode: number): Script =>
  (asked) => [response(asked, { rcode })];

interface AskOptions {
  readonly patience?: number;
  readonly timeout?: number;
  readonly signal?: AbortSignal;
  readonly memory?: EdnsMemory;
}

function ask(servers: readonly Endpoint[], options: AskOptions = {}): Promise<Records> {
  const { patience = 20_000, timeout = 60_000, signal = new AbortController().signal } = options;
  const { memory = new EdnsMemory() } = options;
  const means = { channels: new Channels(), memory };
  return query('www.test', 'A', { servers, attempts: 2, patience }, timeout, means, signal);
}

/** An endpoint without a listener. */
async function nowhere(): Promise<Endpoint> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  return { host: '127.0.0.1', port };
}

/** Waits until the server has read the queries in its socket. */
async function hasAsked({ asked }: NameServer, count: number): Promise<void> {
  await until(
    () => (asked.length >= count ? asked : undefined),
    () => `${asked.length} queries, not ${count}`,
  );
  assert.equal(asked.length, count);
}

/** Asks one server that answers over UDP and TCP by these scripts. */
async function askOne(
  udp: Script,
  tcp: Script = silent,
): Promise<{ records: Promise<Records>; asked: readonly Asked[] }> {
  await using server = await startNameServer((asked) => (asked.over === 'udp' ? udp : tcp)(asked));
  const records = ask([server.endpoint]);
  await records.catch(() => undefined); // the caller examines it
  return { records, asked: server.asked };
}

test('one server, one query, with EDNS', async () => {
  const { records, asked } = await askOne(ours);
  assert.deepEqual((await records).data, ['192.0.2.1']);
  assert.equal(asked.length, 1);
  assert.partialDeepStrictEqual(asked[0], { over: 'udp', name: 'www.test', type: 'A', edns: true });
});

test('ids and source ports are not sequential', async () => {
  await using server = await startNameServer(ours);
  for (let i = 0; i < 40; i++) await ask([server.endpoint]);
  assert.equal(server.asked.length, 40);
  for (const numbers of [server.asked.map(({ id }) => id), server.asked.map(({ from }) => from.port)]) {
    assert.ok(new Set(numbers).size > 30, `all new: ${numbers.join()}`);
    const steps = numbers.slice(1).filter((number, i) => Math.abs(number - numbers[i]!) < 10);
    assert.ok(steps.length < 10, `far from one another: ${numbers.join()}`);
  }
});

test('forged answers are ignored until the right one comes', async () => {
  const evil = [address('www.test', '192.0.2.66')];
  const forger = createSocket('udp4');
  const { records } = await askOne(async (asked) => {
    const right = response(asked, { answers: evil });
    await new Promise((sent) => forger.send(right, asked.from.port, asked.from.host, sent)); // from another address
    return [
      response(asked, { id: (asked.id + 1) & 0xffff, answers: evil }),
      response(asked, { question: { name: 'vvv.test' }, answers: evil }),
      response(asked, { question: { type: 'AAAA' }, answers: evil }),
      response(asked, { type: 'query', answers: evil }),
      Buffer.from('garbage'),
      Buffer.alloc(0),
      response(asked, { answers: [address('evil.test', '192.0.2.66'), address('www.test', '192.0.2.1')] }),
    ];
  });
  forger.close();
  assert.deepEqual((await records).data, ['192.0.2.1']);
});

for (const rcode of [1, 2, 4, 5]) {
  test(`RCODE ${rcode}: the next server, and no server twice`, async () => {
    await using first = await startNameServer(fails(rcode));
    await using second = await startNameServer(ours);
    assert.deepEqual((await ask([first.endpoint, second.endpoint])).data, ['192.0.2.1']);
    assert.deepEqual(ways(first), [true, false], 'with EDNS and without');

    await assert.rejects(ask([first.endpoint]), { name: 'ResolveError', code: 'ESERVFAIL' });
    assert.equal(first.asked.length, 4);
  });
}

const unusable: Readonly<Record<string, Script>> = {
  'a broken answer': (asked) => [
    response(asked, { answers: [address('www.test', '192.0.2.1')] }).subarray(0, -3),
  ],
  'a loop of aliases': (asked) => [response(asked, { answers: [alias('www.test', 'www.test')] })],
};

for (const [name, script] of Object.entries(unusable)) {
  test(`${name}: the next server`, async () => {
    await using first = await startNameServer(script);
    await using second = await startNameServer(ours);
    assert.deepEqual((await ask([first.endpoint, second.endpoint])).data, ['192.0.2.1']);
    await assert.rejects(ask([first.endpoint]), { code: 'ESERVFAIL' });
  });
}

test('no listener at a server: the next one at once', async () => {
  await using second = await startNameServer(ours);
  const gone = await nowhere();
  assert.deepEqual((await ask([gone, second.endpoint])).data, ['192.0.2.1']);
  await assert.rejects(ask([gone]), { code: 'ESERVFAIL', message: /ECONNREFUSED/ });
});

test('no route to a server: the next one at once', async () => {
  await using second = await startNameServer(ours);
  assert.deepEqual((await ask([{ host: 'fe80::1', port: 53 }, second.endpoint])).data, ['192.0.2.1']);
});

test('a silent server: once without EDNS, the next one, then once more', async () => {
  await using first = await startNameServer(silent);
  await using second = await startNameServer(silent);
  await assert.rejects(ask([first.endpoint, second.endpoint], { patience: 50 }), { code: 'ETIMEOUT' });
  await hasAsked(first, 3);
  await hasAsked(second, 3);
  assert.deepEqual(ways(first), [true, false, false]);
});

test('one silent and one failing server result in a failure', async () => {
  await using first = await startNameServer(silent);
  await using second = await startNameServer(fails(2));
  await assert.rejects(ask([first.endpoint, second.endpoint], { patience: 500 }), { code: 'ESERVFAIL' });
  await hasAsked(first, 3);
  await hasAsked(second, 2);
});

test('all attempts together take no longer than the time-out', async () => {
  await using server = await startNameServer(silent);
  const start = performance.now();
  await assert.rejects(ask([server.endpoint, server.endpoint], { timeout: 400 }), { code: 'ETIMEOUT' });
  const took = performance.now() - start;
  assert.ok(took > 300, `${took} ms`);
  await hasAsked(server, 5);
});

/** Whether each query had EDNS. */
function ways({ asked }: Pick<NameServer, 'asked'>): readonly boolean[] {
  return asked.map(({ edns }) => edns);
}

/**
 * RCODE 16: the lower bits are NOERROR, and the upper ones are in the OPT record (RFC 6891 section 6.1.3).
 */
const badVersion: Script = (asked) => [response(asked, { additionals: [OPT] })];
const OPT: OptAnswer = {
  type: 'OPT',
  name: '.',
  udpPayloadSize: 1232,
  extendedRcode: 1,
  ednsVersion: 0,
  flags: 0,
  flag_do: false,
  options: [],
};

/** The behaviour of servers that do not support EDNS. */
const dislikes: Readonly<Record<string, Script>> = {
  FORMERR: fails(1),
  'FORMERR without the question': (asked) => [response(asked, { rcode: 1, questions: [] })],
  SERVFAIL: fails(2),
  NOTIMP: fails(4),
  REFUSED: fails(5),
  BADVERS: badVersion,
  silence: silent,
};

for (const [sign, script] of Object.entries(dislikes)) {
  test(`${sign}: asked without EDNS before the next server, and from then on`, async () => {
    let now = 0;
    const memory = new EdnsMemory(() => now);
    await using first = await startNameServer((one) => (one.edns ? script : ours)(one));
    await using second = await startNameServer(ours);
    const servers = [first.endpoint, second.endpoint];
    const patience = sign === 'silence' ? 500 : 20_000;
    assert.deepEqual((await ask(servers, { memory, patience })).data, ['192.0.2.1']);
    assert.deepEqual(ways(first), [true, false]);
    assert.notEqual(first.asked[0]?.from.port, first.asked[1]?.from.port);
    await ask(servers, { memory, patience });
    assert.deepEqual(ways(first), [true, false, false]);
    now = 3_600_000;
    await ask(servers, { memory, patience });
    assert.deepEqual(ways(first), [true, false, false, true, false]);
    assert.equal(second.asked.length, 0);
  });

  test(`${sign} over TCP: asked without EDNS there`, async () => {
    await using server = await startNameServer((one) => {
      if (one.over === 'udp') return truncated(one);
      return one.edns ? (sign === 'silence' ? never : script)(one) : ours(one);
    });
    assert.deepEqual((await ask([server.endpoint], { patience: 2000 })).data, ['192.0.2.1']);
    assert.deepEqual(ways(server), [true, true, false]);
  });
}

test('BADVERS to every query is a failure, and not "no such name"', async () => {
  await assert.rejects((await askOne(badVersion)).records, { code: 'ESERVFAIL', message: /RCODE 16/ });
});

test('a server that has answered with EDNS is asked with it whatever it answers for other names', async () => {
  const memory = new EdnsMemory();
  let script = ours;
  await using server = await startNameServer((one) => (one.edns ? script : ours)(one));
  await ask([server.endpoint], { memory });
  script = fails(2);
  await ask([server.endpoint], { memory });
  script = ours;
  await ask([server.endpoint], { memory });
  assert.deepEqual(ways(server), [true, true, false, true]);
});

for (const [what, without] of [
  ['has gone out', silent],
  ['has failed', fails(2)],
] as const) {
  test(`a slow answer to the query with EDNS counts when the one without ${what}`, async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    await using server = await startNameServer(async (one) => {
      if (one.edns) await promise;
      else setTimeout(resolve, 100);
      return (one.edns ? ours : without)(one);
    });
    assert.deepEqual((await ask([server.endpoint], { patience: 3000 })).data, ['192.0.2.1']);
    assert.deepEqual(ways(server), [true, false]);
  });
}

test('a UDP answer far longer than the advertised size is not read', async () => {
  const answers = Array.from({ length: 300 }, () => address('www.test', '192.0.2.1'));
  const { records, asked } = await askOne((one) => [response(one, { answers })]);
  await assert.rejects(records, { code: 'ESERVFAIL', message: /longer/ });
  assert.equal(asked.length, 1);
});

const truncated: Script = (asked) => [
  response(asked, { flags: TRUNCATED, answers: [address('www.test', '192.0.2.66')] }).subarray(0, -2),
];

test('too long for UDP: over TCP', async () => {
  const answers = Array.from({ length: 1000 }, (_, i) => address('www.test', `10.0.${i >>> 8}.${i & 255}`));
  const { records, asked } = await askOne(truncated, (one) => [response(one, { answers })]);
  const { data } = await records;
  assert.equal(data[0], '10.0.0.0');
  assert.ok(data.length <= 256);
  assert.deepEqual(
    asked.map(({ over }) => over),
    ['udp', 'tcp'],
  );
});

const brokenOverTcp: Readonly<Record<string, Script>> = {
  'closes without an answer': silent,
  'answers another query': (asked) => [response(asked, { id: asked.id ^ 1 })],
  'still says truncated': (asked) => [response(asked, { flags: TRUNCATED })],
  'sends garbage': () => [Buffer.from('garbage')],
  'sends nothing at all': () => [Buffer.alloc(0)],
};

for (const [name, script] of Object.entries(brokenOverTcp)) {
  test(`over TCP the server ${name}`, async () => {
    const { records } = await askOne(truncated, script);
    await assert.rejects(records, { code: 'ESERVFAIL' });
  });
}

test('over TCP the server is silent', async () => {
  await using server = await startNameServer((asked) => (asked.over === 'udp' ? truncated : never)(asked));
  await assert.rejects(ask([server.endpoint], { patience: 500 }), { code: 'ETIMEOUT' });
});

test('an aborted query ends at once with the reason', async () => {
  const controller = new AbortController();
  await using server = await startNameServer(() => {
    controller.abort(new Error('enough'));
    return [];
  });
  const { signal } = controller;
  await assert.rejects(ask([server.endpoint], { signal }), { message: 'enough' });
  await assert.rejects(ask([server.endpoint], { signal }), { message: 'enough' });
  assert.equal(server.asked.length, 1);
});
