import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { startGarter, type Garter } from '../support/garter.ts';
import { check, start, until } from '../support/process.ts';
import { at } from '../support/targets.ts';
import { deviceTo, type Machine } from './machine.ts';
import { addNetwork, fetchPage, startHost, startWeb, type Host, type Web } from './sites.ts';

const NAME = 'www.example.com';
const PAGE = 'a page of the Internet\n';

function startServer(host: Host, address: string): Promise<Garter> {
  return startGarter({
    host: address,
    prefix: host.prefix,
    users: { alice: 's3cret' },
    config: `
accept: [{ name: office, allow: true, from: [10.0.0.0/8] }]
rules: [{ name: web, allow: connect, user: alice, to: [any, reserved], port: 80 }]`,
  });
}

async function countRecords(garter: Garter): Promise<number> {
  return (await garter.records()).length;
}

/**
 * An office with two connections to the Internet.
 *
 *     client 10.0.0.50 --+-- 10.0.3.1 int1 203.0.113.10 --+-- 203.0.113.80 web
 *                        +-- 10.0.3.2 int2 203.0.113.11 --+
 */
suite('two proxy servers to the Internet', () => {
  const resources = new AsyncDisposableStack();
  let client: Host;
  let int1: Host;
  let int2: Host;
  let office: Machine;
  let web: Web;
  let one: Garter;
  let two: Garter;
  let oneIsDead = false;
  const stopOne = async (): Promise<void> => one[Symbol.asyncDispose]();
  before(async () => {
    const names = { [NAME]: '203.0.113.80' };
    client = resources.use(await startHost('client'));
    int1 = resources.use(await startHost('int1', names));
    int2 = resources.use(await startHost('int2', names));
    const far = resources.use(await startHost('web'));
    office = resources.use(
      await addNetwork('office', [
        { at: client, addresses: ['10.0.0.50/8'] },
        { at: int1, addresses: ['10.0.3.1/8'] },
        { at: int2, addresses: ['10.0.3.2/8'] },
      ]),
    );
    resources.use(
      await addNetwork('internet', [
        { at: int1, addresses: ['203.0.113.10/24'] },
        { at: int2, addresses: ['203.0.113.11/24'] },
        { at: far, addresses: ['203.0.113.80/24'] },
      ]),
    );
    web = resources.use(await startWeb(far, PAGE));
    one = await startServer(int1, '10.0.3.1');
    resources.defer(async () => {
      await (oneIsDead ? assert.rejects(stopOne, /did not end well/) : stopOne());
    });
    two = resources.use(await startServer(int2, '10.0.3.2'));
  });
  after(() => resources.disposeAsync());

  /** The client's own garter, which sends everything to one of the two. */
  const startAgent = (group: string, password = 's3cret', options = ''): Promise<Garter> =>
    startGarter({
      prefix: client.prefix,
      config: `
rules: [{ name: all, allow: any, to: [any, reserved] }]
routes: [{ to: [any, reserved], via: internet }]
timeouts: { connect: 6s }
${options}
upstreams:
  internet:
    servers: ["socks5h://alice:\${PASSWORD}@10.0.3.1:${one.port}", "socks5h://alice:\${PASSWORD}@10.0.3.2:${two.port}"]
    ${group}`,
      env: { PASSWORD: password },
    });
  /** Returns a function for the number of connections through each of the two since then. */
  const counter = async (): Promise<() => Promise<readonly [number, number]>> => {
    const before1 = await countRecords(one);
    const before2 = await countRecords(two);
    return async () => [(await countRecords(one)) - before1, (await countRecords(two)) - before2];
  };
  const setCable = (state: string): Promise<string> =>
    check([...office.prefix, 'ip', 'link', 'set', deviceTo(int1), state]);
  const burst = (agent: Garter, count: number): readonly string[] => {
    const program = join(import.meta.dirname, 'clients/burst.ts');
    return [...client.prefix, process.execPath, program, agent.host, String(agent.port), NAME, String(count)];
  };

  test('random: of 100 connections, each gets between 30 and 70', async () => {
    await using agent = await startAgent('choose: random');
    const counts = await counter();
    const visits = web.visitors().length;
    assert.equal(await check(burst(agent, 100)), 'page\n'.repeat(100));
    const [by1, by2] = await until(
      async () => {
        const now = await counts();
        return now[0] + now[1] >= 100 ? now : undefined;
      },
      () => 'records are missing',
    );
    assert.equal(by1 + by2, 100);
    assert.ok(by1 >= 30 && by1 <= 70, `${by1} of 100 by the first`);
    const seen = web.visitors().slice(visits);
    assert.equal(seen.filter((visitor) => visitor === '203.0.113.10').length, by1);
    assert.equal(seen.filter((visitor) => visitor === '203.0.113.11').length, by2);
    assert.deepEqual(client.asked(), [], 'the client has asked for a name');
    const { user, destination } = await one.record({ rule: 'web' });
    assert.deepEqual({ user, destination }, { user: 'alice', destination: `${NAME}:80` });
  });

  test('a wrong password is tried at one server only', async () => {
    await using agent = await startAgent('choose: random', 'wrong');
    const counts = await counter();
    assert.equal(await fetchPage(client, at(agent), `http://${NAME}/`), 'reply 1');
    await agent.record({ end: 'upstream:dial:password' });
    const [by1, by2] = await until(
      async () => {
        const now = await counts();
        return now[0] + now[1] > 0 ? now : undefined;
      },
      () => 'nobody was asked',
    );
    assert.equal(by1 + by2, 1);
  });

  test('a request that a rule refuses is only sent to one server', async () => {
    await using agent = await startAgent('choose: order');
    const counts = await counter();
    assert.equal(await fetchPage(client, at(agent), `http://${NAME}:443/`), 'reply 2');
    await agent.record({ end: 'target:dial:reply-2' });
    await one.record({ end: 'policy:request:no-rule', destination: `${NAME}:443` });
    assert.deepEqual(await counts(), [1, 0]);
  });

  test('a server whose cable is cut is skipped', async () => {
    await using agent = await startAgent('choose: order');
    await setCable('down');
    try {
      assert.equal(await check(burst(agent, 60)), 'page\n'.repeat(60));
    } finally {
      await setCable('up');
    }
    await agent.record({ destination: `${NAME}:80`, route: `internet/10.0.3.2:${two.port}` });
  });

  test('no server: an error within the time-out, and no direct connection', async () => {
    await using agent = await startGarter({
      prefix: client.prefix,
      config: `
rules: [{ name: all, allow: any, to: [any, reserved] }]
routes: [{ to: [any, reserved], via: internet }]
timeouts: { connect: 6s }
upstreams: { internet: { servers: ["socks5h://10.0.3.1:9", "socks5h://10.0.3.3:1080"], choose: random } }`,
    });
    // This server would answer: it is in the client's own network.
    const counts = await counter();
    const began = performance.now();
    const waited = delay(6000).then(() => performance.now() - began);
    assert.equal(await fetchPage(client, at(agent), `http://10.0.3.1:${one.port}/`), 'reply 1');
    const { duration, end } = await agent.record({ command: 'connect' });
    assert.match(end!, /^upstream:dial:E/);
    assert.ok(duration < 1.6 * (await waited), `${duration} ms, where the time-out is ${await waited}`);
    assert.deepEqual(await counts(), [0, 0]);
  });

  test('a server killed during 1,000 connections: no client is refused', async () => {
    await using agent = await startAgent('choose: random');
    const counts = await counter();
    const clients = await start(burst(agent, 1000), { ready: /(?:page\n){300}/ });
    one.process.signal('SIGKILL');
    oneIsDead = true;
    const outcomes = await until(
      () => {
        const lines = clients.stdout().split('\n').slice(0, -1);
        return lines.length >= 1000 ? lines : undefined;
      },
      () => `not done: ${clients.stdout().split('\n').length} ${clients.stderr()}`,
    );
    await clients.ended();
    const not = outcomes.filter((outcome) => outcome !== 'page');
    assert.equal(outcomes.length, 1000);
    assert.deepEqual(
      not.filter((outcome) => !outcome.startsWith('lost')),
      [],
    );
    assert.ok(not.length <= 20, `no more than are open at a time: ${not.join('\n')}`);
    const [by1, by2] = await counts();
    assert.ok(by1 >= 50 && by2 >= 500, `${by1} and ${by2}`);
  });
});
