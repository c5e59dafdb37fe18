import assert from 'node:assert/strict';
import { test } from 'node:test';
import { check } from '../../../test/support/process.ts';
import { parseIp } from '../../wire/ip.ts';
import { OwnPorts } from './own-ports.ts';

/** Takes all descriptors, asks, and releases them. */
const PROGRAM = `
  import { closeSync, openSync } from 'node:fs';
  import { connectError } from '${import.meta.resolve('../../net/source.ts')}';
  import { parseIp } from '${import.meta.resolve('../../wire/ip.ts')}';
  import { OwnPorts } from '${import.meta.resolve('./own-ports.ts')}';

  const ports = new OwnPorts();
  const isSelf = (host) => ports.isSelf(parseIp(host));
  const known = isSelf('203.0.113.1');
  const taken = [];
  try {
    for (;;) taken.push(openSync('/dev/null'));
  } catch {}
  const exhausted = [isSelf('203.0.113.1'), isSelf('192.0.2.2')];
  const { code } = connectError('EADDRNOTAVAIL', { host: '203.0.113.1', port: 80 });
  for (const descriptor of taken) closeSync(descriptor);
  console.log(JSON.stringify({ known, exhausted, code, again: isSelf('203.0.113.2') }));
`;

test("out of descriptors, an unknown address counts as garter's own until it can be looked up", async () => {
  const few = ['sh', '-c', 'ulimit -n 64; exec "$0" "$@"'];
  const output = await check([...few, process.execPath, '--input-type=module', '-e', PROGRAM]);
  assert.deepEqual(JSON.parse(output), {
    known: false,
    exhausted: [false, true],
    code: 'EADDRNOTAVAIL',
    again: false,
  });
});

test("a port is garter's own in any spelling, an address only as ::ffff:0:0/96", () => {
  const ports = new OwnPorts();
  ports.add({ host: '127.0.0.1', port: 1080 }, 'tcp');
  for (const host of ['127.0.0.1', '::ffff:127.0.0.1', '64:ff9b::127.0.0.1', '2002:7f00:1::1'])
    assert.equal(ports.isOwnPort(parseIp(host)!, 1080, 'tcp'), true, host);
  assert.equal(ports.isOwnPort(parseIp('2002:7f00:1::1')!, 1081, 'tcp'), false);
  assert.equal(ports.isSelf(parseIp('::ffff:127.0.0.1')!), true);
  for (const host of ['64:ff9b::127.0.0.1', '2002:7f00:1::1'])
    assert.equal(ports.isSelf(parseIp(host)!), false, host);
});
