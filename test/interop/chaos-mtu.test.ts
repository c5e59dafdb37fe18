import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, suite, test } from 'node:test';
import { check, run, start, type Outcome } from '../support/process.ts';
import { addCable, addMachine, addRoute, deviceTo, filter, packets, tune, type Machine } from './machine.ts';
import { startNetwork, type Network } from './network.ts';

/** Behind the server machine, which acts as a router. */
const targets = ['10.77.3.2', 'fd77:3::2'];
const PATIENT = 7000;
const HASTY = 7001;

const data = randomBytes(250_000).toString('hex');

/** The router does not report packets that are too big. */
const SILENCE = `
  counter silenced {}
  chain output {
    type filter hook output priority filter;
    icmp type destination-unreachable icmp code frag-needed counter name silenced drop
    icmpv6 type packet-too-big counter name silenced drop
  }`;

/** Answers with the digest of what it receives, on several ports. */
const DIGEST = `
  const { createHash } = require('node:crypto');
  const { createServer } = require('node:http');
  const answer = (request, response) => {
    const hash = createHash('sha256');
    request.on('data', (chunk) => hash.update(chunk)).on('end', () => response.end(hash.digest('hex')));
  };
  for (const port of process.argv.slice(1)) {
    createServer(answer).listen(Number(port), '::', () => console.log('listening'));
  }`;

// The MSS of the target allows 1500 bytes; the router in front of it only passes 1280.
suite('a link that silently drops packets longer than 1280 bytes', () => {
  const resources = new AsyncDisposableStack();
  let network: Network;
  let router: Machine;
  before(async () => {
    network = resources.use(
      await startNetwork({
        rules: `
  - { name: hasty, allow: connect, to: [any], port: [${HASTY}], limit: { idle: 2s } }
  - { name: patient, allow: connect, to: [any], port: [${PATIENT}], limit: { idle: 1m } }`,
      }),
    );
    router = network.machines.server;
    const target = resources.use(await addMachine('target'));
    await addCable(
      { at: router, addresses: ['10.77.3.1/24', 'fd77:3::1/64'] },
      { at: target, addresses: targets.map((address) => `${address}/${address.includes(':') ? 64 : 24}`) },
    );
    await addRoute(network.machines.proxy, '10.77.3.0/24', '10.77.2.2');
    await addRoute(network.machines.proxy, 'fd77:3::/64', 'fd77:2::2');
    await addRoute(target, '10.77.2.0/24', '10.77.3.1');
    await addRoute(target, 'fd77:2::/64', 'fd77:3::1');
    await tune(router, 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1');
    await check([...router.prefix, 'ip', 'link', 'set', deviceTo(target), 'mtu', '1280']);
    await filter(router, SILENCE);
    const web = [process.execPath, '-e', DIGEST, String(PATIENT), String(HASTY)];
    resources.use(await start([...target.prefix, ...web], { ready: /listening\nlistening/ }));
  });
  after(() => resources.disposeAsync());

  const upload = (host: string, port: number): Promise<Outcome> => {
    const curl = ['curl', '-sS', '-x', `socks5://${network.proxy}`, '--data-binary', '@-'];
    const url = `http://${host.includes(':') ? `[${host}]` : host}:${port}/`;
    return run([...network.client, ...curl, url], { input: data, timeout: 90_000 });
  };

  for (const host of targets) {
    test(`to ${host}: ends with the idle time-out`, async () => {
      await tune(network.machines.proxy, 'net.ipv4.tcp_mtu_probing=0');
      const { code } = await upload(host, HASTY);
      assert.notEqual(code, 0);
      const record = await network.garter.record({ rule: 'hasty', end: 'timeout:relay:idle' });
      assert.equal(record.received, 0);
    });

    test(`to ${host}: works if the kernel probes for the size (tcp_mtu_probing)`, async () => {
      await tune(network.machines.proxy, 'net.ipv4.tcp_mtu_probing=1');
      const soFar = await packets(router, 'silenced');
      const { stdout, stderr } = await upload(host, PATIENT);
      const digest = createHash('sha256').update(data).digest('hex');
      assert.equal(stdout, digest, stderr);
      assert.ok((await packets(router, 'silenced')) > soFar, 'nothing was too big');
      const record = await network.garter.record({ rule: 'patient' });
      assert.ok(record.sent > data.length);
    });
  }
});
