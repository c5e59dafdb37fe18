import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { associate } from '../support/datagrams.ts';
import { startGarter } from '../support/garter.ts';
import { Command, connectThrough, RawClient, request5 } from '../support/raw.ts';
import { startBlackHole, startTarget } from '../support/targets.ts';

suite('the end in the record', () => {
  test('names the client if it resets, whatever garter was doing', async () => {
    await using hole = await startBlackHole();
    await using garter = await startGarter();
    using dialling = await RawClient.connect(garter);
    dialling.send('05 01 00', request5(Command.connect, hole.host, hole.port));
    using binding = await RawClient.connect(garter);
    binding.send('05 01 00', request5(Command.bind, '127.0.0.1', 0));
    await binding.expect('05 00  05 00 00');
    using association = await associate(garter);
    await dialling.expect('05 00');
    await delay(100);
    for (const client of [dialling, binding, association.control]) client.reset();
    await garter.record({ command: 'connect', end: 'client:dial:ECONNRESET' });
    await garter.record({ command: 'bind', end: 'client:bind:ECONNRESET' });
    await garter.record({ command: 'udp', end: 'client:relay:ECONNRESET' });
  });
});

suite('the end of a stream', () => {
  test('a slow reader receives everything, even if half-close ends the relay', async () => {
    const size = 3_000_000;
    await using target = await startTarget((socket) => socket.end(Buffer.alloc(size, 'x')));
    await using garter = await startGarter({ config: 'timeouts: { half-close: 1s }' });
    using client = await connectThrough(garter, target);
    client.socket.pause();
    await garter.record({ end: 'timeout:relay:half-close' });
    client.socket.resume();
    assert.equal((await client.rest()).length, size);
  });
});
