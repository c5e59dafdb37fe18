import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { startGarter, type Garter } from '../support/garter.ts';
import { check } from '../support/process.ts';
import { addNetwork, fetchPage, startHost, startWeb, type Host, type Web } from './sites.ts';

const SAME = '10.1.2.3';
const ORDER = ['home', 'west', 'east'];

/** The name server of each resolves the names of its own site. */
interface Site {
  readonly gateway: Host;
  readonly files: Host;
  readonly web: Web;
}

/**
 * Three sites with the same network, 10.1.0.0/16, each with a file server at the same address, and with a garter
 * in its gateway.
 *
 *     client 10.1.0.50 --+-- 10.1.0.1 home 203.0.113.1 --+-- 203.0.113.2 west 10.1.0.1 ---- 10.1.2.3 files.west.test
 *     files.home.test    |                               |
 *            10.1.2.3  --+                               +-- 203.0.113.3 east 10.1.0.1 ---- 10.1.2.3 files.east.test
 */
suite('sites with the same addresses', () => {
  const resources = new AsyncDisposableStack();
  let client: Host;
  let home: Site;
  let west: Site;
  let east: Site;
  let entry: Garter;
  let atWest: Garter;
  let atEast: Garter;

  const startSite = async (role: string, others: readonly Host[] = []): Promise<Site> => {
    const gateway = resources.use(await startHost(role, { [`files.${role}.test`]: SAME }));
    const files = resources.use(
      await startHost(`${role}-files`, { 'whoami.test': `${SAME},fd77::${ORDER.indexOf(role) + 1}` }),
    );
    const ends = [
      { at: gateway, addresses: ['10.1.0.1/16'] },
      { at: files, addresses: [`${SAME}/16`] },
      ...others.map((at) => ({ at, addresses: ['10.1.0.50/16'] })),
    ];
    resources.use(await addNetwork(`${role}-net`, ends));
    const web = resources.use(await startWeb(files, `a page of ${role}\n`));
    return { gateway, files, web };
  };
  const serve = async ({ gateway }: Site, host: string, from: string, routes = ''): Promise<Garter> =>
    resources.use(
      await startGarter({
        host,
        prefix: gateway.prefix,
        config: `
accept: [{ name: clients, allow: true, from: [${from}] }]
rules: [{ name: inside, allow: any, to: [any] }]
${routes}`,
      }),
    );
  before(async () => {
    client = resources.use(await startHost('client'));
    home = await startSite('home', [client]);
    west = await startSite('west');
    east = await startSite('east');
    const outside = [home, west, east].map(({ gateway }, i) => ({
      at: gateway,
      addresses: [`203.0.113.${i + 1}/24`],
    }));
    resources.use(await addNetwork('internet', outside));
    atWest = await serve(west, '203.0.113.2', '203.0.113.1');
    atEast = await serve(east, '203.0.113.3', '203.0.113.1');
    entry = await serve(
      home,
      '10.1.0.1',
      '10.1.0.50',
      `
routes:
  - { to: [.west.test], via: "socks5h://203.0.113.2:${atWest.port}" }
  - { to: [.east.test], via: "socks5h://203.0.113.3:${atEast.port}" }
  - { to: [any], via: direct }`,
    );
  });
  after(() => resources.disposeAsync());

  for (const role of ORDER) {
    test(`CONNECT: files.${role}.test`, async () => {
      const proxy = `${entry.host}:${entry.port}`;
      const page = await fetchPage(client, proxy, `http://files.${role}.test/`);
      assert.equal(page, `a page of ${role}\n`);
      const site = { home, west, east }[role]!;
      assert.deepEqual(site.web.visitors(), ['10.1.0.1']);
      assert.ok(site.gateway.asked().includes(`A files.${role}.test`));
    });

    test(`UDP: files.${role}.test`, async () => {
      const program = join(import.meta.dirname, 'clients/ask.ts');
      const server = `files.${role}.test`;
      const ask = [process.execPath, program, entry.host, String(entry.port), server, 'whoami.test'];
      assert.equal(await check([...client.prefix, ...ask]), `fd77::${ORDER.indexOf(role) + 1}\n`);
      assert.deepEqual({ home, west, east }[role]!.files.asked(), ['AAAA whoami.test']);
    });
  }

  test('by address, the file server at home is used', async () => {
    const page = await fetchPage(client, `${entry.host}:${entry.port}`, `http://${SAME}/`);
    assert.equal(page, 'a page of home\n');
  });

  test('names are only resolved at their own site', () => {
    assert.deepEqual(client.asked(), []);
    for (const [role, { gateway }] of Object.entries({ home, west, east }))
      assert.deepEqual(
        gateway.asked().filter((question) => !question.endsWith(` files.${role}.test`)),
        [],
      );
  });

  test('each connection used its own gateway', async () => {
    for (const [role, garter] of [
      ['west', atWest],
      ['east', atEast],
    ] as const) {
      await garter.record({ command: 'connect', destination: `files.${role}.test:80` });
      await garter.record({ command: 'udp' });
      assert.equal((await garter.records()).length, 2);
    }
  });
});
