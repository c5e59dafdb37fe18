import { encode, RECURSION_AVAILABLE } from 'dns-packet';
import type { Answer, SrvAnswer } from 'dns-packet';
import { decodeReply, encodeQuery } from '../../../src/resolve/message.ts';
import type { Service } from '../../../src/resolve/message.ts';
import { canonicalName } from '../../../src/resolve/name.ts';
import { servicesOf } from '../../../src/resolve/services.ts';
import { hex, keeps, same } from '../target.ts';
import type { Target } from '../target.ts';

const ID = 0x1234;
const NAME = '_socks5._tcp.test';
const MOST = 32;
const NUMBERS = ['priority', 'weight', 'port'] as const;

export const targets: readonly Target[] = [
  {
    name: 'dns-services',
    testRuns: 10_000,
    seeds: [
      seed(record('a.test', 10, 60), record('b.test', 10, 40), record('far.test', 20, 0)),
      seed(record('.', 0, 0)),
      seed(record('.', 0, 0), record('a.test', 0, 1)),
      seed(record('192.0.2.1', 0, 0), record('A.Test', 65_535, 65_535)),
      seed(
        { type: 'CNAME', name: NAME, ttl: 9, data: 's.test' },
        { ...record('a.test', 0, 1), name: 's.test' },
      ),
      seed(...Array.from({ length: 40 }, (_, i) => record('a.test', i % 3, i % 5))),
      seed(),
    ],
    tokens: ['c00c', '00210001', '00050001', '00000000', 'ffffffff', '00', '0161', '033132370131'].map(hex),
    run(input) {
      const query = encodeQuery(ID, NAME, 'SRV', true);
      const message = Buffer.from(input);
      if (message.length >= 2) message.writeUInt16BE(ID, 0);
      const reply = decodeReply(message, query);
      if (reply?.type !== 'records') return reply?.type ?? 'none';
      const { data, services: records } = reply;
      same('services are no texts', data, []);
      if (records === undefined) return 'no records';
      keeps('there is a record where there are services', records.length > 0);
      return check(records, servicesOf(records));
    },
  },
];

function check(records: readonly Service[], services: readonly Service[] | undefined): string {
  const usable = records.flatMap((one) => {
    const target = canonicalName(one.target);
    return target === undefined ? [] : [{ ...one, target }];
  });
  const isRoot = records.length === 1 && records[0]!.target === '.';
  same('a root alone, and nothing else, says that there is none', services?.length === 0, isRoot);
  same('without it and a name nothing is said', services === undefined, usable.length === 0 && !isRoot);
  if (services === undefined || isRoot) return `${services?.length} of ${records.length > 1}`;
  same('as many are used as can be', services.length, Math.min(usable.length, MOST));
  same('their order in the answer means nothing', servicesOf(records.toReversed()), services);
  for (const service of services) {
    for (const number of NUMBERS)
      keeps(`a ${number} is of 16 bits`, service[number] === (service[number] & 0xffff));
  }
  const left = [...usable];
  for (const service of services) {
    const i = left.findIndex((one) => isSame(one, service));
    keeps('a service is a record, and each is used once', i >= 0, () => JSON.stringify(service));
    left.splice(i, 1);
    keeps('none that is better comes after it', !left.some((one) => isBetter(one, service)));
  }
  return `${Math.min(services.length, 3)} ${left.length > 0} ${usable.length < records.length}`;
}

function isSame(a: Service, b: Service): boolean {
  return a.target === b.target && NUMBERS.every((number) => a[number] === b[number]);
}

function isBetter(a: Service, b: Service): boolean {
  return a.priority < b.priority || (a.priority === b.priority && a.weight > b.weight);
}

function record(target: string, priority: number, weight: number): SrvAnswer {
  return { type: 'SRV', name: NAME, class: 'IN', ttl: 60, data: { target, port: 1080, priority, weight } };
}

function seed(...answers: readonly Answer[]): Uint8Array {
  return encode({
    type: 'response',
    id: ID,
    flags: RECURSION_AVAILABLE,
    questions: [{ name: NAME, type: 'SRV' }],
    answers: [...answers],
  });
}
