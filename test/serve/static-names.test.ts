import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reload, startGarter } from '../support/garter.ts';
import { startNameServer } from '../support/name-server.ts';
import { Command, RawClient, readAddress, replyCode, request5, works } from '../support/raw.ts';
import { startEcho } from '../support/targets.ts';

test('static names, both ways, without a query', async () => {
  await using echo = await startEcho('0.0.0.0');
  await using names = await startNameServer(() => []);
  await using garter = await startGarter({
    config: `
resolve: { servers: ["127.0.0.1:${names.endpoint.port}"], hosts: { DB.internal: [127.0.0.7, "2001:db8::7"] } }
rules:
  - { name: closed, deny: any, to: [127.0.0.9] }
  - { name: local, allow: [connect, resolve], to: [any, loopback, reserved], port: ["1-65535", 0] }`,
  });
  const target = { host: 'db.internal', port: echo.port };
  await works(garter, target);
  const { address } = await garter.record({ destination: `db.internal:${echo.port}` });
  assert.equal(address, `127.0.0.7:${echo.port}`);

  using query = await RawClient.connect(garter);
  query.send('05 01 00', request5(Command.resolve, 'Db.Internal', 0));
  await query.expect('05 00 05 00 00');
  assert.equal((await readAddress(query)).host, '127.0.0.7');
  using back = await RawClient.connect(garter);
  back.send('05 01 00', request5(Command.resolvePtr, '2001:db8::7', 0));
  await back.expect('05 00 05 00 00 03');
  const [length = 0] = await back.read(1);
  assert.equal((await back.read(length)).toString(), 'db.internal');

  // The rules judge the address.
  await reload(garter, (text) => text.replace('[127.0.0.7, "2001:db8::7"]', '127.0.0.9'));
  assert.equal(await replyCode(garter, request5(Command.connect, 'db.internal', echo.port)), 2);
  assert.deepEqual(names.asked, []);
});
