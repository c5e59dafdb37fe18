import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { check } from '../support/process.ts';
import { far, page, startNetwork, type Network } from './network.ts';

// Debian's own Python, for which python3-socks is installed.
const python = (script: string): readonly string[] => ['/usr/bin/python3', '-c', script];

suite('PySocks', () => {
  let network: Network;
  before(async () => {
    network = await startNetwork();
  });
  after(() => network[Symbol.asyncDispose]());

  for (const version of ['SOCKS4', 'SOCKS5']) {
    test(`${version} CONNECT by name`, async () => {
      const script = `
import socks
s = socks.socksocket()
s.set_proxy(socks.${version}, "${network.garter.host}", ${network.garter.port}, rdns=True)
s.settimeout(10)
s.connect(("${far.name}", 80))
s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
print(s.makefile().read(), end="")`;
      const stdout = await check([...network.client, ...python(script)]);
      assert.ok(stdout.endsWith(`\n\n${page}`), stdout);
      await network.garter.record({ command: 'connect', destination: `${far.name}:80` });
    });
  }

  test('UDP: a query to a name server, by address and by name', async () => {
    const script = `
import socket, socks
s = socks.socksocket(socket.AF_INET, socket.SOCK_DGRAM)
s.set_proxy(socks.SOCKS5, "${network.garter.host}", ${network.garter.port}, rdns=True)
s.settimeout(10)
question = bytes.fromhex("abcd01000001000000000000") + b"\\3www\\3far\\4test\\0\\0\\1\\0\\1"
for server in "${far.v4}", "${far.name}":
    s.sendto(question, (server, 53))
    answer, sender = s.recvfrom(999)
    print(answer[:2].hex(), socket.inet_ntoa(answer[-4:]), len(answer), sender[1])`;
    const stdout = await check([...network.client, ...python(script)]);
    const line = `abcd ${far.v4} 46 53\n`;
    assert.equal(stdout, line + line);
    const record = await network.garter.record({ command: 'udp' });
    assert.equal(record.sent, 2 * 30);
    assert.equal(record.received, 2 * 46);
  });
});
