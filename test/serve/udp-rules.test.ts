import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { associate, Datagrams, frame, type Association } from '../support/datagrams.ts';
import { reload, startGarter, type Garter } from '../support/garter.ts';
import { until } from '../support/process.ts';
import { Command, RawClient, request5 } from '../support/raw.ts';

/** The first rule allows a client to send something, and could be mistaken for the rule of all datagrams. */
const DNS = '{ name: dns, allow: udp, to: [127.0.0.53], log: [] }';

function rules(web: string, more = ''): string {
  return `state: garter.state\nrules: [${DNS}, { name: web, allow: [udp, bind], to: [127.0.0.80], ${web} }]\n${more}`;
}

/** A client with an association, and one destination for each rule. */
class Scene implements Disposable {
  readonly garter: Garter;
  readonly dns: Datagrams;
  readonly web: Datagrams;
  readonly #stack: DisposableStack;

  static async open(garter: Garter): Promise<Scene> {
    using stack = new DisposableStack();
    const dns = stack.use(await Datagrams.bind('127.0.0.53'));
    const web = stack.use(await Datagrams.bind('127.0.0.80'));
    return new Scene(garter, dns, web, stack.move());
  }

  private constructor(garter: Garter, dns: Datagrams, web: Datagrams, stack: DisposableStack) {
    this.garter = garter;
    this.dns = dns;
    this.web = web;
    this.#stack = stack;
  }

  async client(): Promise<Client> {
    const datagrams = this.#stack.use(await Datagrams.bind('127.0.0.1'));
    return new Client(datagrams, this.#stack.use(await associate(this.garter)));
  }

  /** Whether a datagram of this client reaches a destination, after all those sent before. */
  async passes(client: Client, to: Datagrams): Promise<boolean> {
    const before = to.waiting;
    await client.send(to, 'x');
    await client.send(this.dns, 'after it');
    await this.dns.receive();
    if (to === this.dns) return (await this.dns.receive()).data.length > 0;
    await delay(50);
    const came = to.waiting > before;
    while (to.waiting > before) await to.receive();
    return came;
  }

  /** Waits for the number of datagrams that an association dropped for this reason. */
  dropped(reason: 'limit' | 'bandwidth' | 'refused'): Promise<number> {
    return until(
      async () => {
        const line = (await this.garter.log()).find(({ event }) => event === 'association');
        return line?.[reason];
      },
      () => 'no association has ended',
    );
  }

  [Symbol.dispose](): void {
    this.#stack.dispose();
  }
}

class Client {
  readonly datagrams: Datagrams;
  readonly association: Association;

  constructor(datagrams: Datagrams, association: Association) {
    this.datagrams = datagrams;
    this.association = association;
  }

  send(to: Datagrams, data: string | Uint8Array): Promise<void> {
    return this.datagrams.send(frame(to, data), this.association.relay);
  }

  end(): void {
    this.association.control.end();
  }
}

suite('a datagram counts by the rule that allows its destination', () => {
  test('session limits: counted once, at the first use; excess datagrams are dropped', async () => {
    const limits = ['sessions', 'sessions-per-user', 'sessions-per-address', 'rate', 'rate-per-address'];
    const limited = limits.map((name, i) => {
      const most = name.startsWith('rate') ? '1/h' : 1;
      return `{ name: ${name}, allow: udp, to: [127.0.0.${81 + i}], limit: { ${name}: ${most} } }`;
    });
    await using garter = await startGarter({ config: `rules: [${DNS}, ${limited.join(', ')}]` });
    using scene = await Scene.open(garter);
    for (const [i, name] of limits.entries()) {
      using target = await Datagrams.bind(`127.0.0.${81 + i}`);
      using again = await Datagrams.bind(`127.0.0.${81 + i}`);
      const [idle, first, second] = [await scene.client(), await scene.client(), await scene.client()];
      assert.equal(await scene.passes(idle, scene.dns), true);
      assert.equal(await scene.passes(first, target), true, name);
      assert.equal(await scene.passes(first, again), true, 'another destination is no other session');
      assert.equal(await scene.passes(second, target), false, name);
      assert.equal(await scene.passes(second, scene.dns), true);
      first.end();
      await garter.record({ rule: `${name},dns` });
      if (!name.startsWith('rate')) {
        await until(
          async () => await scene.passes(idle, target),
          () => 'the place is not free again',
        );
      }
      second.end();
      await until(
        async () => (await garter.log()).filter(({ limit }) => limit === 1).length > i,
        () => 'it was not counted',
      );
    }
  });

  for (const way of [
    'directly',
    'through an upstream',
    'from strangers, if the listener accepts them',
  ] as const) {
    test(`bandwidth, in both directions, ${way}`, async () => {
      await using far = await startGarter({ config: 'rules: [{ allow: udp, to: [loopback] }]' });
      const routes = `routes: [{ to: [any], via: far }]\nupstreams: { far: "socks5://${far.host}:${far.port}" }`;
      await using garter = await startGarter({
        config: rules('limit: { bandwidth: 10kB/s }', way.startsWith('through') ? routes : ''),
        listener: way.startsWith('from') ? ['udp: { replies: any }'] : [],
      });
      using scene = await Scene.open(garter);
      using stranger = await Datagrams.bind('127.0.0.1');
      const client = await scene.client();
      await client.send(scene.web, 'hello');
      const from = await scene.web.receive();
      await client.send(scene.dns, 'hello');
      await scene.dns.receive();
      const answering = way.startsWith('from') ? stranger : scene.web;
      const start = performance.now();
      for (let i = 0; i < 50; i++) {
        await client.send(scene.web, Buffer.alloc(1000));
        await answering.send(Buffer.alloc(1000), { host: '127.0.0.1', port: from.port });
        await client.send(scene.dns, Buffer.alloc(1000));
        await scene.dns.receive();
      }
      await delay(100);
      // Ten per second, with an allowance for catching up.
      const most = 10 + (performance.now() - start) / 100;
      assert.ok(scene.web.waiting < most, `${scene.web.waiting} of 50 came`);
      assert.ok(client.datagrams.waiting < most, `${client.datagrams.waiting} of 50 came back`);
      client.end();
      assert.ok((await scene.dropped('bandwidth')) >= 20);
    });
  }

  for (const [limit, use] of [
    ['duration: 1s', 1],
    ['quota-per-user: 10kB/day', 11_000],
  ] as const) {
    test(`${limit} ends the use of the rule by the association, and nothing else`, async () => {
      await using garter = await startGarter({ config: rules(`limit: { sessions: 1, ${limit} }`) });
      using scene = await Scene.open(garter);
      const client = await scene.client();
      await client.send(scene.web, Buffer.alloc(use));
      await scene.web.receive();
      await until(
        async () => ((await scene.passes(client, scene.web)) ? undefined : true),
        () => 'it goes on',
      );
      await delay(1200);
      assert.equal(await scene.passes(client, scene.web), false, 'it begins again');
      assert.equal(await scene.passes(client, scene.dns), true);
      // The slot is available to others; a quota belongs to the user.
      const other = await scene.client();
      assert.equal(await scene.passes(other, scene.web), limit.startsWith('duration'));
      client.end();
      assert.ok((await scene.dropped('limit')) >= 2);
    });
  }

  test('idle time-outs: that of the rule frees its slot, and the longest one ends the association', async () => {
    await using garter = await startGarter({
      config: rules('limit: { sessions: 1, idle: 1s }', 'timeouts: { udp-idle: 4s }'),
    });
    using scene = await Scene.open(garter);
    const [client, other] = [await scene.client(), await scene.client()];
    assert.equal(await scene.passes(client, scene.web), true);
    await until(
      async () => {
        await client.send(scene.dns, 'still here');
        await scene.dns.receive();
        return await scene.passes(other, scene.web);
      },
      () => 'the place is not free again',
    );
    assert.equal(await scene.passes(client, scene.dns), true);
    await garter.record({ end: 'timeout:relay:idle', rule: 'dns,web' });
  });

  test('log: a line is written if any used rule has one, with all rules in order of use; connect is logged at the first use', async () => {
    await using garter = await startGarter({ config: rules('log: [connect, disconnect]') });
    using scene = await Scene.open(garter);
    for (const names of ['dns', 'dns', 'web', 'web,dns']) {
      const client = await scene.client();
      for (const name of names.split(',')) {
        const to = name === 'dns' ? scene.dns : scene.web;
        await client.send(to, 'x');
        await to.receive();
      }
      client.end();
      if (names !== 'dns') await garter.record({ command: 'udp', rule: names, end: 'client:relay' });
    }
    const lines = (await garter.log()).filter(({ command }) => command === 'udp');
    assert.deepEqual(
      lines.map(({ event, rule }) => `${event} ${rule}`),
      ['connect web', 'disconnect web', 'connect web', 'disconnect web,dns'],
    );
  });

  test('after a reload, the rule that now allows it counts', async () => {
    await using garter = await startGarter({ config: rules('limit: { sessions: 1 }') });
    using scene = await Scene.open(garter);
    const [client, other] = [await scene.client(), await scene.client()];
    assert.equal(await scene.passes(client, scene.web), true);
    await reload(garter, (text) =>
      text.replace(
        '{ name: web',
        '{ name: new, allow: udp, to: [127.0.0.80], limit: { sessions: 1 } }, { name: web',
      ),
    );
    assert.equal(await scene.passes(client, scene.web), true, 'it goes on');
    assert.equal(await scene.passes(other, scene.web), false, 'it counts by the new rule');
    await reload(garter, (text) =>
      text.replace('new, allow: udp, to: [127.0.0.80]', 'new, allow: udp, to: [127.0.0.81]'),
    );
    assert.equal(await scene.passes(client, scene.web), true, 'it goes on');
    client.end();
    await garter.record({ rule: 'web,dns,new' });
  });

  test('BIND without a named peer counts by the rule that accepts the peer', async () => {
    const config = `rules: [{ name: first, allow: bind, to: [127.0.0.53], limit: { sessions: 1 } }, { name: rest, allow: bind, to: [loopback] }]`;
    await using garter = await startGarter({ config });
    using held = new DisposableStack();
    const waiting: [client: RawClient, port: number][] = [];
    for (let i = 0; i < 2; i++) {
      const client = held.use(await RawClient.connect(garter));
      client.send('05 01 00', request5(Command.bind, '0.0.0.0', 0));
      await client.expect('05 00  05 00 00 01');
      waiting.push([client, (await client.read(6)).readUInt16BE(4)]);
    }
    for (const [client, port] of waiting) {
      const peer = held.use(await RawClient.connect({ host: '127.0.0.1', port }));
      await client.expect('05 00 00 01 7f 00 00 01');
      await client.read(2);
      peer.send(Buffer.from('x'));
      await client.expect(Buffer.from('x'));
    }
  });
});
