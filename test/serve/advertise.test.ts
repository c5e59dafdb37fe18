import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { associate, Datagrams, frame } from '../support/datagrams.ts';
import { OPEN, reload, startGarter } from '../support/garter.ts';
import { Command, RawClient, readAddress, replyCode, request4, request5 } from '../support/raw.ts';

/** Some other process may have some of them. */
const PORTS = '41180-41187';
const RANGE = { first: 41_180, last: 41_187 };

test('BIND has a range of ports and an address for clients', async () => {
  await using garter = await startGarter({
    listener: [`bind: { ports: ${PORTS}, advertise: { 127.0.0.0/8: outside.test } }`],
    config: `resolve: { hosts: { outside.test: ["2001:db8::7", 203.0.113.7] } }\n${OPEN}`,
  });
  using client = await RawClient.connect(garter);
  client.send('05 01 00', request5(Command.bind, '127.0.0.1', 0));
  await client.expect('05 00 05 00 00');
  const { host, port } = await readAddress(client);
  assert.equal(host, '203.0.113.7');
  assert.ok(port >= RANGE.first && port <= RANGE.last, String(port));
  const peer = connect(port, '127.0.0.1');
  peer.end('hello');
  await client.expect('05 00 00');
  await readAddress(client);
  assert.equal((await client.rest()).toString(), 'hello');
  client.end();
  await once(peer.resume(), 'close');
  await garter.record({ command: 'bind', bound: `127.0.0.1:${port}` });

  // SOCKS4 has the same.
  using old = await RawClient.connect(garter);
  old.send(request4(Command.bind, '127.0.0.1', 0));
  await old.expect('00 5a');
  await old.read(2);
  await old.expect('cb 00 71 07');
  old.reset();

  // A full range, until one ends.
  const held: RawClient[] = [];
  let refused: string | undefined;
  while (refused === undefined && held.length <= RANGE.last - RANGE.first + 1) {
    const one = await RawClient.connect(garter);
    held.push(one);
    one.send('05 01 00', request5(Command.bind, '127.0.0.1', 0));
    await one.expect('05 00 05');
    if ((await one.read(1))[0] !== 0) refused = (await garter.record({ end: 'limit:bind:bind-ports' })).end;
  }
  assert.equal(refused, 'limit:bind:bind-ports');
  for (const one of held) one.reset();
});

test('a name that is announced is resolved for each request', async () => {
  await using garter = await startGarter({
    listener: ['udp: { advertise: { 127.0.0.0/8: outside.test } }'],
    config: `resolve: { hosts: { outside.test: 127.0.0.7 } }\n${OPEN}`,
  });
  using target = await Datagrams.bind('127.0.0.1');
  using sender = await Datagrams.bind('127.0.0.1');
  {
    using association = await associate(garter);
    assert.equal(association.relay.host, '127.0.0.7');
    await sender.send(frame(target, 'x'), { host: '127.0.0.1', port: association.relay.port });
    await target.receive();
  }
  await reload(garter, (text) => text.replace('outside.test: 127.0.0.7', 'outside.test: 127.0.0.8'));
  {
    using association = await associate(garter);
    assert.equal(association.relay.host, '127.0.0.8');
  }
  await reload(garter, (text) => text.replace('outside.test: 127.0.0.8', 'outside.test: "::1"'));
  {
    using association = await associate(garter);
    assert.equal(association.relay.host, '::1', 'what there is');
  }
  await reload(garter, (text) =>
    text.replace(/hosts: \{.*\} \}/, 'family: ipv4 }').replace('outside.test', 'a.invalid'),
  );
  assert.equal(await replyCode(garter, request5(Command.associate, '0.0.0.0', 0)), 4);
  await garter.record({ end: 'internal:bind:ENOTFOUND' });
});
