import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { makeDirectory } from '../support/directory.ts';
import { startGarter, type Garter } from '../support/garter.ts';
import { far, fetchPage, startListening, startRow, type Listening, type Row } from './sites.ts';
import { sshWithKey, startSshd } from './sshd.ts';

const PORT = 1080;
const MIDDLE = '10.77.2.2';

const openTo = (neighbours: string): string => `
accept: [{ name: neighbours, allow: true, from: [${neighbours}] }]
rules: [{ name: all, allow: any, to: [any] }]`;

/**
 * Other programs between two garters. The client knows all three, and reaches each through those before it.
 */
suite('other servers in the middle of a chain', () => {
  const resources = new AsyncDisposableStack();
  let row: Row;
  let directory: string;
  let first: Garter;
  let last: Garter;
  before(async () => {
    directory = resources.use(await makeDirectory()).path;
    row = resources.use(await startRow());
    first = resources.use(
      await startGarter({ host: '10.77.1.1', prefix: row.first.prefix, config: openTo('10.77.1.2') }),
    );
    last = resources.use(
      await startGarter({
        host: '10.77.3.2',
        prefix: row.last.prefix,
        config: openTo('10.77.3.1, 10.77.3.2'),
      }),
    );
  });
  after(() => resources.disposeAsync());

  const startDanted = async (): Promise<Listening> => {
    const config = join(directory, 'danted.conf');
    const lines = [
      'logoutput: /dev/null',
      `internal: ${MIDDLE} port = ${PORT}`,
      'external: 10.77.3.1',
      'clientmethod: none',
      'socksmethod: none',
      'user.privileged: root',
      'user.unprivileged: root',
      'client pass { from: 10.77.2.1/32 to: 0.0.0.0/0 }',
      'socks pass { from: 10.77.2.1/32 to: 0.0.0.0/0 command: connect }',
    ];
    await writeFile(config, lines.map((line) => `${line}\n`).join(''));
    return startListening(row.middle, PORT, ['danted', '-f', config, '-p', join(directory, 'danted.pid')]);
  };

  /** An ssh client on the middle machine, whose connections leave from sshd on the last one. */
  const startSsh = async (): Promise<Listening> => {
    await using stack = new AsyncDisposableStack();
    stack.use(await startSshd(row.last.prefix, '10.77.3.2', directory));
    const ssh = [...sshWithKey(directory), '-N', '-D', `${MIDDLE}:${PORT}`, 'root@10.77.3.2'];
    stack.use(await startListening(row.middle, PORT, ssh));
    const daemons = stack.move();
    return { port: PORT, [Symbol.asyncDispose]: () => daemons.disposeAsync() };
  };

  const startTinyproxy = async (): Promise<Listening> => {
    const config = join(directory, 'tinyproxy.conf');
    const lines = [`Port ${PORT}`, `Listen ${MIDDLE}`, 'Timeout 60', 'MaxClients 20', 'Allow 10.77.2.1'];
    await writeFile(config, lines.map((line) => `${line}\n`).join(''));
    return startListening(row.middle, PORT, ['tinyproxy', '-d', '-c', config]);
  };

  const startHttpGarter = (): Promise<Listening> =>
    startGarter({
      host: MIDDLE,
      prefix: row.middle.prefix,
      listener: ['protocols: [http]'],
      config: openTo('10.77.2.1'),
    });

  const rows = [
    { title: 'garter, HTTP', scheme: 'http', startMiddle: startHttpGarter, seen: '10.77.3.1' },
    { title: 'danted', scheme: 'socks5h', startMiddle: startDanted, seen: '10.77.3.1' },
    { title: 'danted, SOCKS4', scheme: 'socks4', startMiddle: startDanted, seen: '10.77.3.1' },
    { title: 'ssh -D', scheme: 'socks5h', startMiddle: startSsh, seen: '10.77.3.2' },
    { title: 'tinyproxy', scheme: 'http', startMiddle: startTinyproxy, seen: '10.77.3.1' },
  ];
  for (const { title, scheme, startMiddle, seen } of rows) {
    test(title, async () => {
      await using middle = await startMiddle();
      const hops = [`socks5h://10.77.1.1:${first.port}`, `${scheme}://${MIDDLE}:${middle.port}`];
      await using agent = await startGarter({
        prefix: row.client.prefix,
        config: `
rules: [{ name: all, allow: any, to: [any] }]
timeouts: { connect: 10s }
routes: [{ to: [any], via: far }]
upstreams: { far: { chain: ["${hops.join('", "')}", "socks5h://10.77.3.2:${last.port}"] } }`,
      });
      const proxy = `${agent.host}:${agent.port}`;
      assert.equal(await fetchPage(row.client, proxy, `http://${far.name}/`), far.page);
      assert.deepEqual(row.othersAsked(), []);
      await first.record({ destination: `${MIDDLE}:${middle.port}` });
      const { client } = await last.record({ destination: `${far.name}:80` });
      assert.equal(client.slice(0, client.lastIndexOf(':')), seen);
      assert.equal(await fetchPage(row.client, proxy, 'http://nowhere.far.test/'), 'reply 4');
      assert.equal(await fetchPage(row.client, proxy, `http://${far.name}:9/`), 'reply 5');
      assert.deepEqual(row.othersAsked(), []);
    });
  }
});
