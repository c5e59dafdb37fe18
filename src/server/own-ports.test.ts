import assert from 'node:assert/strict';
import { test } from 'node:test';
import { check } from '../../test/support/process.ts';

/** Takes all descriptors, asks, and gives them back. */
const PROGRAM = `
  import { closeSync, openSync } from 'node:fs';
  import { connectError } from '${import.meta.resolve('../net/source.ts')}';
  import { parseIp } from '${import.meta.resolve('../wire/ip.ts')}';
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

test('out of descriptors, an address that is not known yet counts as its own until it can be asked about', async () => {
  const few = ['sh', '-c', 'ulimit -n 64; exec "$0" "$@"'];
  const output = await check([...few, process.execPath, '--input-type=module', '-e', PROGRAM]);
  assert.deepEqual(JSON.parse(output), {
    known: false,
    exhausted: [false, true],
    code: 'EADDRNOTAVAIL',
    again: false,
  });
});
