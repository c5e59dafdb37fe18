import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { check, run, start } from '../support/process.ts';
import { far, page, startNetwork, type Network } from './network.ts';
import { startFtp } from './sites.ts';

/** Programs without SOCKS support on Dante's client library, the only client with full BIND and UDP. */
suite("Dante's socksify", () => {
  let network: Network;
  let socksify: readonly string[];
  before(async () => {
    network = await startNetwork();
    const config = join(network.directory, 'socks.conf');
    const { host, port } = network.garter;
    await writeFile(
      config,
      `route {\n from: 0/0 to: 0/0 via: ${host} port = ${port}\n proxyprotocol: socks_v5\n method: none\n}\n`,
    );
    // Otherwise it treats the networks of local interfaces as direct.
    const env = ['env', `SOCKS_CONF=${config}`, 'SOCKS_AUTOADD_LANROUTES=no'];
    socksify = [...network.client, ...env, 'socksify'];
  });
  after(() => network[Symbol.asyncDispose]());

  test('lftp, active mode: the server connects back through BIND', async () => {
    await using _ = await startFtp({ prefix: network.server }, network.webRoot, network.directory);
    const commands =
      'set ftp:passive-mode off; set net:max-retries 1; set net:timeout 10; cat index.html; bye';
    const { code, stdout, stderr } = await run([...socksify, 'lftp', '-e', commands, `ftp://${far.v4}`]);
    assert.equal(code, 0, stderr);
    assert.equal(stdout, page);
    await network.garter.record({ command: 'connect', destination: `${far.v4}:21` });
    const bind = await network.garter.record({ command: 'bind' });
    assert.equal(bind.address, `${far.v4}:20`);
    assert.ok(bind.bound?.startsWith('10.77.2.1:'), 'bound where the server can reach it');
    assert.equal(bind.received, page.length);
  });

  test('kdig: a query over UDP', async () => {
    const kdig = ['kdig', '+timeout=5', '+retry=0', '+short', `@${far.v4}`, far.name, 'A'];
    assert.equal(await check([...socksify, ...kdig]), `${far.v4}\n`);
    const record = await network.garter.record({ command: 'udp' });
    assert.ok(record.sent > 0 && record.received > record.sent, JSON.stringify(record));
  });

  test('iperf3 -u: a megabyte of datagrams, none lost', async () => {
    const server = ['iperf3', '--server', '--one-off', '--forceflush', '--bind', far.v4];
    await using daemons = new AsyncDisposableStack();
    daemons.use(await start([...network.server, ...server], { ready: /Server listening/ }));
    const client = ['iperf3', '--client', far.v4, '--udp', '--bitrate', '8M', '--time', '1', '--json'];
    const report: { end: { sum: Summary } } = JSON.parse(await check([...socksify, ...client]));
    const { sum } = report.end;
    assert.ok(sum.packets > 100);
    assert.equal(sum.lost_packets, 0);
    await network.garter.record({ command: 'connect', destination: `${far.v4}:5201` });
    const record = await network.garter.record({ command: 'udp' });
    assert.ok(record.sent >= sum.bytes, JSON.stringify(record));
  });
});

interface Summary {
  readonly packets: number;
  readonly lost_packets: number;
  readonly bytes: number;
}
