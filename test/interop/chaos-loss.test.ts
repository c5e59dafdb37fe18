import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { check } from '../support/process.ts';
import { filter, packets, sendSingleFrames } from './machine.ts';
import { far, startNetwork } from './network.ts';

const TRANSFERS = 50;
const SIZE = 100_000;

/** Drops one in twenty of the packets that a machine receives. */
const LOSS = `
  counter lost {}
  chain input {
    type filter hook input priority filter;
    numgen random mod 100 < 5 counter name lost drop
  }`;

test(`${TRANSFERS} transfers while both links lose one packet in twenty`, async (t: TestContext) => {
  await using network = await startNetwork({ timeouts: 'connect: 60s' });
  const { client, proxy, server } = network.machines;
  const files = Array.from({ length: TRANSFERS }, (_, i) => ({ name: `file-${i}`, data: randomBytes(SIZE) }));
  for (const { name, data } of files) await writeFile(join(network.webRoot, name), data);
  const received = join(network.directory, 'received');
  await mkdir(received);
  const links = [
    [client, proxy],
    [proxy, client],
    [proxy, server],
    [server, proxy],
  ] as const;
  for (const [from, to] of links) await sendSingleFrames(from, to);
  for (const machine of [client, proxy, server]) await filter(machine, LOSS);

  const command = [
    'curl',
    '-sS',
    '-Z',
    '--parallel-max',
    '10',
    '-m',
    '120',
    '-x',
    `socks5://${network.proxy}`,
  ];
  const urls = `http://${far.v4}/file-[0-${TRANSFERS - 1}]`;
  await check([...network.client, ...command, '-o', join(received, 'file-#1'), urls], { timeout: 150_000 });

  for (const { name, data } of files) {
    assert.ok(
      data.equals(await readFile(join(received, name))),
      `${name} arrived otherwise than it was sent`,
    );
  }
  for (const { name } of files) {
    const record = await network.garter.record({ destination: `${far.v4}:80` });
    assert.match(record.end ?? '', /^(client|target):relay$/, name);
    assert.ok(record.received > SIZE, name);
  }
  const lost = await Promise.all([client, proxy, server].map((machine) => packets(machine, 'lost')));
  t.diagnostic(`lost on the way to client, proxy, server: ${lost.join(', ')} packets`);
  for (const count of lost) assert.ok(count > 30, `only ${count} packets were lost`);
});
