import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { cert } from '../../test/support/certificate.ts';
import {
  startHttpsNameServer,
  startTlsNameServer,
  type EncryptedNameServer,
} from '../../test/support/encrypted-name-server.ts';
import { address, response, startNameServer, type Script } from '../../test/support/name-server.ts';
import { until } from '../../test/support/process.ts';
import { startBlackHole } from '../../test/support/targets.ts';
import { formatIp } from '../wire/ip.ts';
import { Resolver } from './resolver.ts';
import type { NameServer } from './system.ts';

/** Answers 192.0.2.1 for every name, with a time to live of 0. */
const ours: Script = (asked) => [response(asked, { answers: [address(asked.name, '192.0.2.1', 0)] })];

const kinds = {
  tls: { start: startTlsNameServer, encrypted: { name: 'localhost' } },
  https: { start: startHttpsNameServer, encrypted: { name: 'localhost', path: '/dns-query' } },
} as const;

function resolverFor(servers: readonly NameServer[], ca = [cert], timeout = 10_000): Resolver {
  const machine = { hostsFile: '/dev/null', sourceFor: (host: string) => host, ca };
  return new Resolver({ servers, family: 'ipv4', timeout }, machine);
}

async function find(resolver: Resolver, name: string): Promise<string> {
  return (await resolver.resolve(name)).map(formatIp).join(' ');
}

async function untilNoneOpen(server: EncryptedNameServer): Promise<void> {
  await until(
    () => server.open.size === 0,
    () => `${server.open.size} connections are open`,
  );
}

for (const [kind, { start, encrypted }] of Object.entries(kinds)) {
  suite(`DNS over ${kind}`, () => {
    test('many names over one connection', async () => {
      await using server = await start(ours);
      using resolver = resolverFor([{ ...server.endpoint, encrypted }]);
      const names = Array.from({ length: 100 }, (_, i) => `n${i}.test`);
      const found = await Promise.all(names.map((name) => find(resolver, name)));
      assert.deepEqual(new Set(found), new Set(['192.0.2.1']));
      assert.equal(await find(resolver, 'later.test'), '192.0.2.1');
      assert.equal(server.asked.length, 101);
      assert.equal(server.connections, 1);
    });

    test('a slow answer delays no other', async () => {
      const slow = Promise.withResolvers<void>();
      await using server = await start(async (asked) => {
        if (asked.name === 'slow.test') await slow.promise;
        return ours(asked);
      });
      using resolver = resolverFor([{ ...server.endpoint, encrypted }]);
      const late = find(resolver, 'slow.test');
      assert.equal(await find(resolver, 'quick.test'), '192.0.2.1');
      slow.resolve();
      assert.equal(await late, '192.0.2.1');
      assert.equal(server.connections, 1);
    });

    test('a connection that the server has closed is opened again', async () => {
      await using server = await start(ours);
      using resolver = resolverFor([{ ...server.endpoint, encrypted }]);
      await find(resolver, 'a.test');
      for (const socket of server.open) socket.destroy();
      await untilNoneOpen(server);
      assert.equal(await find(resolver, 'b.test'), '192.0.2.1');
      assert.equal(server.connections, 2);
    });

    for (const rcode of [1, 2, 4, 5]) {
      test(`RCODE ${rcode}: asked without EDNS over the same connection, and from then on`, async () => {
        await using server = await start((asked) =>
          asked.edns ? [response(asked, { rcode })] : ours(asked),
        );
        using resolver = resolverFor([{ ...server.endpoint, encrypted }]);
        await find(resolver, 'a.test');
        await find(resolver, 'b.test');
        assert.deepEqual(
          server.asked.map(({ edns }) => edns),
          [true, false, false],
        );
        assert.equal(server.connections, 1);
      });
    }

    test('silence does not remove the padding', async () => {
      const never = new Promise<never>(() => {});
      await using server = await start(() => never);
      using resolver = resolverFor([{ ...server.endpoint, encrypted }], [cert], 600);
      await assert.rejects(find(resolver, 'a.test'), { code: 'ETIMEOUT' });
      assert.deepEqual([...new Set(server.asked.map(({ edns }) => edns))], [true]);
    });

    test('closed with the resolver', async () => {
      await using server = await start(ours);
      {
        using resolver = resolverFor([{ ...server.endpoint, encrypted }]);
        await find(resolver, 'a.test');
        assert.equal(server.open.size, 1);
      }
      await untilNoneOpen(server);
    });

    for (const [fault, name, ca, message] of [
      ['by nobody known', 'localhost', [], /self-signed/],
      ['for another name', 'dns.example', [cert], /dns\.example/],
      ['for a name and not for the address', undefined, [cert], /127\.0\.0\.1/],
    ] as const) {
      test(`a certificate ${fault}: the next server`, async () => {
        await using server = await start(ours);
        const { name: _, ...rest } = encrypted as { readonly name: string; readonly path?: string };
        const faulty = { ...server.endpoint, encrypted: { ...rest, ...(name !== undefined && { name }) } };
        using alone = resolverFor([faulty], [...ca]);
        await assert.rejects(find(alone, 'www.test'), { code: 'ESERVFAIL', message });
        await using plain = await startNameServer(ours);
        using both = resolverFor([faulty, plain.endpoint], [...ca]);
        assert.equal(await find(both, 'www.test'), '192.0.2.1');
        assert.equal(server.asked.length, 0);
      });
    }

    test('a silent server: the next server', async () => {
      await using hole = await startBlackHole();
      await using plain = await startNameServer(ours);
      const silent = { host: hole.host, port: hole.port, encrypted };
      using resolver = resolverFor([silent, plain.endpoint], [cert], 2000);
      assert.equal(await find(resolver, 'www.test'), '192.0.2.1');
    });

    test('after a query without an answer, the next one is answered', async () => {
      await using server = await start((asked) =>
        asked.name === 'never.test' ? new Promise<never>(() => undefined) : ours(asked),
      );
      using resolver = resolverFor([{ ...server.endpoint, encrypted }], [cert], 1000);
      await assert.rejects(find(resolver, 'never.test'), { code: 'ETIMEOUT' });
      assert.equal(await find(resolver, 'www.test'), '192.0.2.1');
    });

    test('an answer to another question is ignored', async () => {
      await using server = await start((asked) => [response(asked, { question: { name: 'evil.test' } })]);
      using resolver = resolverFor([{ ...server.endpoint, encrypted }]);
      await assert.rejects(find(resolver, 'www.test'), {
        code: 'ESERVFAIL',
        message: /no response to this query/,
      });
    });

    test('a server without EDNS', async () => {
      await using server = await start((asked) =>
        asked.edns ? [response(asked, { rcode: 1 })] : ours(asked),
      );
      using resolver = resolverFor([{ ...server.endpoint, encrypted }]);
      assert.equal(await find(resolver, 'www.test'), '192.0.2.1');
    });
  });
}

test('DNS over HTTPS: an error of HTTP', async () => {
  await using server = await startHttpsNameServer(() => []);
  using resolver = resolverFor([{ ...server.endpoint, encrypted: kinds.https.encrypted }]);
  await assert.rejects(find(resolver, 'www.test'), { code: 'ESERVFAIL', message: /HTTP status 404/ });
});

test('DNS over HTTPS from a server that only supports TLS', async () => {
  await using server = await startTlsNameServer(ours);
  using resolver = resolverFor([{ ...server.endpoint, encrypted: kinds.https.encrypted }]);
  await assert.rejects(find(resolver, 'www.test'), { code: 'ESERVFAIL' });
});
