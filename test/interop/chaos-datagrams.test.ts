import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { check, start } from '../support/process.ts';
import { filter, packets, type Machine } from './machine.ts';
import { far, startNetwork } from './network.ts';

const ECHO_PORT = 7;
const loop = fileURLToPath(new URL('./clients/loop.ts', import.meta.url));

/** Answers with the source port of each datagram. */
const ECHO = `
  const { createSocket } = require('node:dgram');
  for (const [type, host] of [['udp4', '${far.v4}'], ['udp6', '${far.v6}']]) {
    const socket = createSocket(type);
    socket.on('message', (_, { port, address }) => socket.send(String(port), port, address));
    socket.bind(${ECHO_PORT}, host, () => console.log('bound'));
  }`;

/** Counts the datagrams that garter's machine sends, by destination. */
const COUNTERS = `
  counter to_itself {}
  counter to_echo {}
  counter to_many {}
  counter to_others {}
  chain output {
    type filter hook output priority filter;
    meta l4proto != udp accept
    oifname "to-client" accept
    ip daddr ${far.v4} udp dport { 53, ${ECHO_PORT} } counter name to_echo accept
    ip6 daddr ${far.v6} udp dport ${ECHO_PORT} counter name to_echo accept
    oif lo counter name to_itself accept
    fib daddr type { broadcast, multicast } counter name to_many accept
    counter name to_others
  }`;

/** Like an unused bridge for containers: the link is up without a carrier, and its address works. */
async function addIdleLink(at: Machine, address: string): Promise<void> {
  await check([...at.prefix, 'ip', 'link', 'add', 'idle', 'type', 'veth', 'peer', 'unplugged']);
  await check([...at.prefix, 'ip', 'address', 'add', address, 'dev', 'idle']);
  await check([...at.prefix, 'ip', 'link', 'set', 'idle', 'up']);
}

const rows = [
  { title: 'a rule that allows any', to: 'any' },
  { title: 'a rule that names this machine itself', to: 'any, self, loopback' },
];
for (const { title, to } of rows) {
  test(`datagrams to many, and to garter's own ports, with ${title}`, async () => {
    await using network = await startNetwork({
      rules: `  - { name: all, allow: any, to: [${to}] }`,
      names: ['proxy.far.test,10.77.1.1', 'many.far.test,255.255.255.255'],
    });
    const { garter, machines } = network;
    await using _ = await start([...network.server, process.execPath, '-e', ECHO], { ready: /bound\nbound/ });
    await addIdleLink(machines.proxy, '172.17.0.1/16');
    await filter(machines.proxy, COUNTERS);
    const proxy = [garter.host, String(garter.port)];
    const echo = [far.v4, far.v6, String(ECHO_PORT)];
    const command = [...network.client, process.execPath, loop, ...proxy, ...echo];
    const sent = Number(await check(command, { timeout: 60_000 }));
    await garter.record({ command: 'udp' });
    await garter.record({ command: 'udp' });
    const refused = (await garter.log()).filter(({ event }) => event === 'datagram-refused');
    // Only the kernel knows the broadcast addresses of networks, and sends nothing to them: two of the
    // destinations.
    assert.equal(refused.length, sent - 2);
    assert.ok((await packets(machines.proxy, 'to_echo')) > sent);
    for (const counter of ['to_itself', 'to_many', 'to_others']) {
      assert.equal(await packets(machines.proxy, counter), 0, counter);
    }
  });
}
