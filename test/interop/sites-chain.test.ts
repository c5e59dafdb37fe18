import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { Authority } from '../support/authority.ts';
import { makeDirectory } from '../support/directory.ts';
import { startGarter, type Garter } from '../support/garter.ts';
import { check, run } from '../support/process.ts';
import { far, fetchPage, socksify, startFtp, startRow, type Host, type Row } from './sites.ts';

const PORT_CLOSED = 9;
const OPEN = 'rules: [{ name: all, allow: any, to: [any] }]';
const AT_FIRST = ['10.77.1.1', '10.77.1.2'] as const;
const AT_MIDDLE = ['10.77.2.2', '10.77.2.1'] as const;
const AT_LAST = ['10.77.3.2', '10.77.3.1'] as const;

/** The servers between a client and the far side. */
interface Way {
  /** In order from the client; each has a record of every connection. */
  readonly hops: readonly Garter[];
  /** The one that the client's programs use. */
  readonly entry: Garter;
}

/** Starts a garter for one neighbour. */
function serve(
  host: Host,
  [address, neighbour]: readonly [string, string],
  config: string,
  listener: readonly string[] = [],
): Promise<Garter> {
  return startGarter({
    host: address,
    prefix: host.prefix,
    listener,
    config: `
accept: [{ name: neighbour, allow: true, from: [${neighbour}] }]
timeouts: { connect: 10s }
${config}`,
  });
}

/**
 * The same path through three machines; the link between the first two is encrypted, with certificates at both
 * ends.
 */
suite('a chain of three garters', () => {
  const resources = new AsyncDisposableStack();
  let row: Row;
  let directory: string;
  let listener: readonly string[];
  let link: string;
  before(async () => {
    directory = resources.use(await makeDirectory()).path;
    row = resources.use(await startRow());
    const ca = await Authority.make(directory, 'ca');
    const { cert, key } = await ca.issue('middle', { names: 'IP:10.77.2.2' });
    const own = await ca.issue('first');
    listener = [`tls: { cert: ${cert}, key: ${key}, client-ca: ${ca.cert} }`];
    link = `tls: { ca: ${ca.cert}, cert: ${own.cert}, key: ${own.key} }`;
    const files = join(directory, 'files');
    await mkdir(files);
    await writeFile(join(files, 'file.txt'), 'a file from the far side\n');
    resources.use(await startFtp(row.server, files, directory));
  });
  after(() => resources.disposeAsync());

  /** Each only knows the next one. */
  const startHopByHop = async (stack: AsyncDisposableStack): Promise<Way> => {
    const last = stack.use(await serve(row.last, AT_LAST, OPEN));
    const middle = stack.use(
      await serve(
        row.middle,
        AT_MIDDLE,
        `
rules: [{ name: closed, deny: any, to: [denied.far.test] }, { name: all, allow: any, user: first, to: [any] }]
routes: [{ to: [any], via: "socks5h://10.77.3.2:${last.port}" }]`,
        listener,
      ),
    );
    const first = stack.use(
      await serve(
        row.first,
        AT_FIRST,
        `
${OPEN}
routes: [{ to: [any], via: next }]
upstreams: { next: { url: "socks5h+tls://10.77.2.2:${middle.port}", ${link}, udp: clear } }`,
      ),
    );
    return { hops: [first, middle, last], entry: first };
  };

  /** The client's own garter knows all of them. */
  const startKnownToClient = async (stack: AsyncDisposableStack): Promise<Way> => {
    const closed = '{ name: closed, deny: any, to: [denied.far.test] }';
    const last = stack.use(
      await serve(row.last, AT_LAST, `rules: [${closed}, { name: all, allow: any, to: [any] }]`),
    );
    const rules = 'rules: [{ name: all, allow: any, user: first, to: [any] }]';
    const middle = stack.use(await serve(row.middle, AT_MIDDLE, rules, listener));
    const first = stack.use(await serve(row.first, AT_FIRST, OPEN));
    const entry = stack.use(
      await startGarter({
        prefix: row.client.prefix,
        config: `
${OPEN}
timeouts: { connect: 10s }
routes: [{ to: [any], via: far }]
upstreams:
  middle: { url: "socks5h+tls://10.77.2.2:${middle.port}", ${link}, udp: clear }
  far: { chain: ["socks5h://10.77.1.1:${first.port}", middle, "socks5h://10.77.3.2:${last.port}"] }`,
      }),
    );
    return { hops: [entry, first, middle, last], entry };
  };

  for (const [title, startWay] of [
    ['each only knows the next one', startHopByHop],
    ["the client's own garter knows all", startKnownToClient],
  ] as const) {
    suite(title, () => {
      const servers = new AsyncDisposableStack();
      let way: Way;
      let proxy: string;
      before(async () => {
        way = await startWay(servers);
        proxy = `${way.entry.host}:${way.entry.port}`;
      });
      after(() => servers.disposeAsync());

      test('CONNECT: a page by a name that is only resolved at the end', async () => {
        const page = await fetchPage(row.client, proxy, `http://${far.name}/`);
        assert.equal(page, far.page);
        assert.equal(row.web.visitors().at(-1), '10.77.4.1');
        assert.deepEqual(row.othersAsked(), []);
        assert.ok(row.last.asked().includes(`A ${far.name}`), 'the last one has been asked');
        const [entry] = way.hops;
        const { bound, address } = await entry!.record({ destination: `${far.name}:80` });
        assert.match(bound!, /^10\.77\.4\.1:/, 'what the last one said');
        assert.equal(address, undefined);
        await way.hops.at(-1)!.record({ destination: `${far.name}:80`, address: `${far.v4}:80` });
        await way.hops.at(-2)!.record({ user: 'first', method: 'certificate' });
      });

      const refusals = [
        { what: 'a rule of a server', url: 'http://denied.far.test/', reply: 2 },
        { what: 'a name that does not exist', url: 'http://nowhere.far.test/', reply: 4 },
        { what: 'a closed port', url: `http://${far.name}:${PORT_CLOSED}/`, reply: 5 },
      ];
      for (const { what, url, reply } of refusals) {
        test(`reply ${reply} is passed on: ${what}`, async () => {
          assert.equal(await fetchPage(row.client, proxy, url), `reply ${reply}`);
          await way.entry.record({ end: `target:dial:reply-${reply}` });
          assert.deepEqual(row.othersAsked(), []);
        });
      }

      test('BIND: lftp in active mode, where vsftpd connects back to the last server', async () => {
        const commands =
          'set ftp:passive-mode off; set net:max-retries 1; set net:timeout 10; cat file.txt; bye';
        const lftp = ['lftp', '-e', commands, `ftp://${far.v4}`];
        const { code, stdout, stderr } = await run([
          ...(await socksify(row.client, way.entry, directory)),
          ...lftp,
        ]);
        assert.equal(code, 0, stderr);
        assert.equal(stdout, 'a file from the far side\n');
        const { address, bound, received } = await way.entry.record({ command: 'bind' });
        assert.equal(address, `${far.v4}:20`);
        assert.match(bound!, /^10\.77\.4\.1:/);
        assert.equal(received, stdout.length);
        await way.hops.at(-1)!.record({ command: 'bind', address: `${far.v4}:20` });
      });

      test('UDP: kdig queries the name server of the far side', async () => {
        const kdig = ['kdig', '+timeout=5', '+retry=2', '+short', `@${far.v4}`, far.name, 'A'];
        const asks = row.server.asked().length;
        const through = await socksify(row.client, way.entry, directory);
        assert.equal(await check([...through, ...kdig]), `${far.v4}\n`);
        assert.ok(row.server.asked().length > asks);
        const { sent, received } = await way.entry.record({ command: 'udp', end: 'client:relay' });
        assert.ok(sent > 0 && received > sent);
        await way.hops.at(-1)!.record({ command: 'udp', sent, received });
      });

      test('UDP: to a name that is only resolved at the end', async () => {
        const program = join(import.meta.dirname, 'clients/ask.ts');
        const { host, port } = way.entry;
        const ask = [process.execPath, program, host, String(port), far.name, far.name];
        assert.equal(await check([...row.client.prefix, ...ask]), `${far.v6}\n`);
        assert.deepEqual(row.othersAsked(), []);
        for (const hop of way.hops) await hop.record({ command: 'udp', end: 'client:relay' });
      });
    });
  }
});
