import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { cert } from '../../test/support/certificate.ts';
import { startHttpsNameServer, startTlsNameServer } from '../../test/support/encrypted-name-server.ts';
import { engines, leavesNothing } from '../../test/support/engines.ts';
import { address, response, startNameServer, type Script } from '../../test/support/name-server.ts';
import type { Engine } from '../net/engine.ts';
import { formatIp } from '../wire/ip.ts';
import { Resolver } from './resolver.ts';
import type { NameServer } from './system.ts';

const TRUNCATED = 0x0200;
const ours: Script = (asked) => [response(asked, { answers: [address(asked.name, '192.0.2.1', 0)] })];
/** Truncated over UDP. */
const long: Script = (asked) =>
  asked.over === 'udp' ? [response(asked, { flags: TRUNCATED })] : ours(asked);

const kinds = {
  udp: { start: () => startNameServer(ours), encrypted: undefined },
  tcp: { start: () => startNameServer(long), encrypted: undefined },
  tls: { start: () => startTlsNameServer(ours), encrypted: { name: 'localhost' } },
  https: {
    start: () => startHttpsNameServer(ours),
    encrypted: { name: 'localhost', path: '/dns-query' },
  },
} as const;

leavesNothing();

function resolverFor(engine: Engine, server: NameServer, from: string): Resolver {
  const machine = { hostsFile: '/dev/null', ca: [cert], engine };
  const egress = { addresses: [from], rotate: 'none' } as const;
  return new Resolver({ servers: [server], family: 'ipv4', timeout: 10_000, egress }, machine);
}

for (const engine of engines) {
  suite(`${engine.name}: queries from an egress`, () => {
    for (const [kind, { start, encrypted }] of Object.entries(kinds)) {
      test(`with ${kind}, queries are sent from its address`, async () => {
        await using server = await start();
        const { endpoint } = server;
        using resolver = resolverFor(engine, encrypted ? { ...endpoint, encrypted } : endpoint, '127.0.0.9');
        const names = ['a.test', 'b.test', 'c.test'];
        const found = await Promise.all(names.map((name) => resolver.resolve(name)));
        assert.deepEqual(found.flat().map(formatIp), ['192.0.2.1', '192.0.2.1', '192.0.2.1']);
        assert.deepEqual(new Set(server.asked.map(({ from }) => from.host)), new Set(['127.0.0.9']));
        if ('connections' in server) assert.equal(server.connections, 1);
      });

      test(`with ${kind}, no query is sent when the interface does not exist`, async () => {
        await using server = await start();
        const { endpoint } = server;
        using resolver = resolverFor(engine, encrypted ? { ...endpoint, encrypted } : endpoint, 'garter0');
        await assert.rejects(resolver.resolve('a.test'), { code: 'ESERVFAIL' });
        assert.equal(server.asked.length, 0);
      });
    }
  });
}
