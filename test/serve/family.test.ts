import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OPEN, startGarter } from '../support/garter.ts';
import { associate, Datagrams, frame } from '../support/datagrams.ts';
import { Command, RawClient, replyCode, request5, request5ByName, works } from '../support/raw.ts';
import { startEcho } from '../support/targets.ts';

test('family: ipv4 refuses IPv6 destinations that are dialled from here', async () => {
  await using echo = await startEcho('::');
  await using far = await startGarter({ config: OPEN });
  await using garter = await startGarter({
    config: `
resolve: { family: ipv4 }
${OPEN}
routes:
  - { to: [any], port: ${echo.port}, via: direct }
  - { to: [any], command: udp, via: direct }
  - { name: far, to: [any], via: "socks5h://127.0.0.1:${far.port}" }`,
  });
  await works(garter, { host: '127.0.0.1', port: echo.port });
  for (const command of [Command.connect, Command.bind]) {
    assert.equal(await replyCode(garter, request5(command, '::1', echo.port)), 8);
    await garter.record({ end: 'policy:request:family', rule: 'all', address: '::1' });
  }
  assert.equal(await replyCode(garter, request5ByName(Command.connect, '::1', echo.port)), 8);
  // It is resolved, not dialled.
  using query = await RawClient.connect(garter);
  query.send('05 01 00', request5(Command.resolve, '::1', echo.port));
  await query.expect('05 00 05 00 00 04');
  // The last server decides for itself.
  assert.notEqual(await replyCode(garter, request5(Command.connect, '::1', 1)), 8);

  // A datagram is dropped, and its association continues.
  using to4 = await Datagrams.bind('127.0.0.1');
  using sender = await Datagrams.bind('127.0.0.1');
  using association = await associate(garter);
  await sender.send(frame({ host: '::1', port: echo.port }, 'six'), association.relay);
  await sender.send(frame({ host: to4.host, port: to4.port }, 'four'), association.relay);
  assert.equal((await to4.receive()).data.toString(), 'four');
  association.control.end();
  await garter.record({ command: 'udp', dropped: 'refused:1' });
});
