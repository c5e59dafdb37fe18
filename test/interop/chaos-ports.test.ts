import assert from 'node:assert/strict';
import { test } from 'node:test';
import { run, start, until } from '../support/process.ts';
import { tune } from './machine.ts';
import { far, startNetwork } from './network.ts';

const PORTS = 20;

/**
 * Holds every request until a signal, then answers them all and closes first, so that the port in TIME_WAIT
 * is its own.
 */
const HOLD = `
  const held = [];
  const server = require('node:net').createServer((socket) => {
    socket.once('data', () => console.log('held', held.push(socket))).on('error', () => {});
  });
  server.listen(7000, '0.0.0.0', () => console.log('listening'));
  process.on('SIGUSR2', () => {
    for (const socket of held.splice(0)) socket.end('HTTP/1.0 200 OK\\r\\n\\r\\nfree');
  });`;

const REFUSED = `97 Can't complete SOCKS5 connection to ${far.v4}. (1)`; // CURLE_PROXY, with a general failure

test(`${PORTS} ports and ${2 * PORTS} connections: the excess is refused, and served when the first have ended`, async () => {
  await using network = await startNetwork();
  const { garter } = network;
  await using target = await start([...network.server, process.execPath, '-e', HOLD], { ready: /listening/ });
  await tune(network.machines.proxy, `net.ipv4.ip_local_port_range=50000 ${50_000 + PORTS - 1}`);

  /** Runs all at once; returns curl's exit codes and messages. */
  const fetch = async (count: number): Promise<readonly string[]> => {
    const all = ['-Z', '--parallel-immediate', '--parallel-max', String(count), '-m', '60'];
    const result = ['-o', '/dev/null', '-w', '%{exitcode} %{errormsg}\\n'];
    const command = ['curl', '-s', ...all, ...result, '-x', `socks5://${network.proxy}`];
    const { stdout } = await run([...network.client, ...command, `http://${far.v4}:7000/[1-${count}]`]);
    return stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.trimEnd())
      .toSorted();
  };
  for (const round of [1, 2, 3]) {
    const outcomes = fetch(2 * PORTS);
    for (let i = 0; i < PORTS; i++) await garter.record({ end: 'internal:dial:EADDRNOTAVAIL' });
    const held = new RegExp(`(held ${PORTS}\\s[^]*){${round}}`);
    await until(
      () => held.test(target.stdout()),
      () => `not all ports are used: ${target.stdout()}`,
    );
    target.signal('SIGUSR2');
    assert.deepEqual(await outcomes, [...Array(PORTS).fill('0'), ...Array(PORTS).fill(REFUSED)]);
    for (let i = 0; i < PORTS; i++) await garter.record({ end: 'target:relay' });
  }
});
