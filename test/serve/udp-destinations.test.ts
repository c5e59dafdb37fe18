import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { associate, Datagrams, frame } from '../support/datagrams.ts';
import { OPEN, reload, startGarter } from '../support/garter.ts';
import { address, response, startNameServer } from '../support/name-server.ts';
import { until } from '../support/process.ts';
import { connectThrough } from '../support/raw.ts';
import { startEcho } from '../support/targets.ts';

suite("an association's destinations", () => {
  test('one that failed is tried again while the client continues to send', async () => {
    let healthy = false;
    await using names = await startNameServer((asked) => {
      if (!healthy) return [response(asked, { rcode: 2 })];
      return [response(asked, asked.type === 'A' ? { answers: [address(asked.name, '127.0.0.1')] } : {})];
    });
    await using garter = await startGarter({
      config: `${OPEN}\nresolve: { servers: ["${names.endpoint.host}:${names.endpoint.port}"] }`,
    });
    using target = await Datagrams.bind('127.0.0.1');
    using client = await Datagrams.bind('127.0.0.1');
    using association = await associate(garter);
    const to = { host: 'peer.test', port: target.port };
    await client.send(frame(to, 'lost'), association.relay);
    await until(
      () => names.asked.length > 0,
      () => 'nobody was asked',
    );
    healthy = true;
    await until(
      async () => {
        await client.send(frame(to, 'keepalive'), association.relay);
        await delay(200);
        return target.waiting > 0;
      },
      () => 'it stays refused',
    );
  });

  test('a thousand unanswered names do not crowd out other clients', async () => {
    await using echo = await startEcho();
    await using names = await startNameServer((asked) => {
      if (asked.name.endsWith('.silent.test')) return [];
      return [response(asked, asked.type === 'A' ? { answers: [address(asked.name, '127.0.0.1')] } : {})];
    });
    await using garter = await startGarter({
      config: `${OPEN}\nresolve: { servers: ["${names.endpoint.host}:${names.endpoint.port}"] }`,
    });
    using client = await Datagrams.bind('127.0.0.1');
    using association = await associate(garter);
    for (let i = 0; i < 1500; i++) {
      await client.send(frame({ host: `n${i}.silent.test`, port: 9 }, 'x'), association.relay);
    }
    using other = await connectThrough(garter, { host: 'here.test', port: echo.port });
    other.send(Buffer.from('x'));
    await other.expect(Buffer.from('x'));
  });

  test('a hundred invalid names do not end it', async () => {
    await using garter = await startGarter({ config: OPEN });
    using target = await Datagrams.bind('127.0.0.1');
    using client = await Datagrams.bind('127.0.0.1');
    using association = await associate(garter);
    for (let i = 0; i < 100; i++) {
      await client.send(frame({ host: `no name ${i}`, port: 9 }, 'x'), association.relay);
      await client.send(frame({ host: '127.0.0.1', port: 0 }, 'x'), association.relay);
    }
    await client.send(frame(target, 'still here'), association.relay);
    assert.equal((await target.receive()).data.toString(), 'still here');
  });

  test('after a reload, a denied one can no longer answer, and an allowed one keeps its port', async () => {
    await using garter = await startGarter({ config: OPEN });
    using denied = await Datagrams.bind('127.0.0.1');
    using allowed = await Datagrams.bind('127.0.0.1');
    using client = await Datagrams.bind('127.0.0.1');
    using association = await associate(garter);
    const ports: number[] = [];
    for (const target of [denied, allowed]) {
      await client.send(frame(target, 'hello'), association.relay);
      ports.push((await target.receive()).port);
    }
    await reload(garter, (text) =>
      text.replace('rules: [', `rules: [{ name: no, deny: any, to: [any], port: ${denied.port} }, `),
    );
    await denied.send(Buffer.from('unwanted'), { host: '127.0.0.1', port: ports[0]! });
    await allowed.send(Buffer.from('wanted'), { host: '127.0.0.1', port: ports[1]! });
    const answer = await client.receive();
    assert.ok(answer.data.toString().endsWith('wanted') && !answer.data.toString().endsWith('unwanted'));
    assert.equal(client.waiting, 0);
  });
});
