import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIp } from '../wire/ip.ts';
import type { NameServer } from './system.ts';
import type { ResolveOptions } from './resolver.ts';
import { Resolvers } from './resolvers.ts';

const server: NameServer = { host: '127.0.0.1', port: 53 };
const options: ResolveOptions = { servers: [server], family: 'any', timeout: 5000 };
/** No query is sent in these tests. */
const engine = { connect: () => assert.fail(), udp: () => assert.fail() };
/** Reading a configuration again creates new objects. */
const again = (): ResolveOptions => structuredClone(options);

test('equal options share a resolver', () => {
  using resolvers = new Resolvers();
  assert.equal(resolvers.for(options), resolvers.for(again()));
});

test('and keep it after a reload', () => {
  using before = new Resolvers();
  using resolvers = new Resolvers();
  const known = before.for(options);
  assert.equal(resolvers.for(again(), before), known);
  assert.equal(resolvers.for(again()), known);
  using later = new Resolvers();
  assert.equal(later.for(again(), resolvers), known);
});

for (const [what, others] of [
  ['another server', { ...options, servers: [{ ...server, host: '127.0.0.2' }] }],
  ['another port', { ...options, servers: [{ ...server, port: 54 }] }],
  ['the same server by TLS', { ...options, servers: [{ ...server, encrypted: {} }] }],
  ['another order', { ...options, servers: [{ ...server, port: 54 }, server] }],
  ['the servers of the system', { family: 'any', timeout: 5000 }],
  ['another family', { ...options, family: 'ipv4' }],
  ['another time-out', { ...options, timeout: 5001 }],
  ['another egress', { ...options, egress: { addresses: ['wg0'], rotate: 'none' } }],
] as const) {
  test(`${what}: another resolver`, () => {
    using before = new Resolvers({ engine });
    using resolvers = new Resolvers({ engine });
    const known = before.for(options);
    assert.notEqual(before.for(others), known);
    assert.notEqual(resolvers.for(others, before), known);
  });
}

test('closing closes all resolvers in use, and no others', async () => {
  const before = new Resolvers();
  using dropped = before.for({ ...options, family: 'ipv4' });
  const taken = before.for(options);
  const resolvers = new Resolvers();
  const added = resolvers.for({ ...options, family: 'ipv6' }, before);
  assert.equal(resolvers.for(again(), before), taken);
  resolvers.close();
  for (const one of [taken, added]) await assert.rejects(one.resolve('127.0.0.1'), { code: 'ECLOSED' });
  assert.deepEqual(await dropped.resolve('127.0.0.1'), [parseIp('127.0.0.1')]);
});
