import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { associate, Datagrams, frame } from '../support/datagrams.ts';
import { type Garter, OPEN, startGarter } from '../support/garter.ts';
import { Command, RawClient, request5 } from '../support/raw.ts';
import { startDatagramEcho, type Target } from '../support/targets.ts';

suite('the connection of an association', () => {
  const resources = new AsyncDisposableStack();
  let garter: Garter;
  let datagramEcho: Target;
  before(async () => {
    garter = resources.use(await startGarter({ config: OPEN }));
    datagramEcho = resources.use(await startDatagramEcho());
  });
  after(() => resources.disposeAsync());

  test('may carry a little meaningless data', async () => {
    using association = await associate(garter);
    using client = await Datagrams.bind('127.0.0.1');
    association.control.send(Buffer.alloc(200), Buffer.alloc(56));
    await client.send(frame(datagramEcho, Buffer.from('still here')), association.relay);
    assert.match(String((await client.receive()).data), /still here$/);
    association.control.end();
    await garter.record({ command: 'udp', end: 'client:relay' });
  });

  test('ends the association if there is more, however it arrives', async () => {
    for (const pieces of [[257], [200, 57], [1 << 20]]) {
      using association = await associate(garter);
      for (const size of pieces) association.control.send(Buffer.alloc(size));
      await association.control.gone();
      await garter.record({ command: 'udp', end: 'client:relay:data' });
    }
    using glued = await RawClient.connect(garter);
    glued.send('05 01 00', request5(Command.associate, '0.0.0.0', 0), Buffer.alloc(257));
    await glued.gone();
    await garter.record({ command: 'udp', end: 'client:relay:data' });
  });
});
