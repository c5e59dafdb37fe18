import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { after, before, suite, test } from 'node:test';
import { type Garter, OPEN, startGarter } from '../support/garter.ts';
import {
  address,
  response,
  startNameServer,
  type Asked,
  type NameServer,
  type Script,
} from '../support/name-server.ts';
import { Command, replyCode, request5, works } from '../support/raw.ts';
import { startBlackHole, startEcho, type Target } from '../support/targets.ts';

const TRUNCATED = 0x200; // TC, RFC 1035 section 4.1.1

const is =
  (data: string, ttl = 60): Script =>
  (asked) => [response(asked, { answers: [address(asked.name, data, ttl)] })];
const failures: Readonly<Record<string, { readonly says: Script; readonly code: string }>> = {
  'missing.test': { says: (asked) => [response(asked, { rcode: 3 })], code: 'ENOTFOUND' },
  'servfail.test': { says: (asked) => [response(asked, { rcode: 2 })], code: 'ESERVFAIL' },
  'silent.test': { says: () => [], code: 'ETIMEOUT' },
};

/** Names of destinations, for upstreams that take addresses, and names of upstreams. */
suite('faulty name servers, for routes with upstreams', () => {
  const resources = new AsyncDisposableStack();
  const answers = new Map<string, Script>();
  let names: NameServer;
  let echo: Target;
  let far: Garter;
  before(async () => {
    names = resources.use(
      await startNameServer(
        (asked) => answers.get(`${asked.type} ${asked.name}`)?.(asked) ?? [response(asked)],
      ),
    );
    for (const [name, { says }] of Object.entries(failures))
      for (const type of ['A', 'AAAA']) answers.set(`${type} ${name}`, says);
    echo = resources.use(await startEcho('0.0.0.0'));
    far = resources.use(await startGarter({ config: OPEN }));
  });
  after(() => resources.disposeAsync());

  /** `timeout`: seconds for an answer, more where one comes: a busy machine takes a while. */
  const near = (upstream: string, timeout = 5): Promise<Garter> =>
    startGarter({
      config: `
rules: [{ name: some, allow: any, to: [127.0.0.0/29] }, { name: named, allow: any, to: [.passed.test] }]
resolve: { servers: ["127.0.0.1:${names.endpoint.port}"], timeout: ${timeout}s }
timeouts: { connect: ${timeout + 15}s }
routes: [{ to: [any], via: far }]
upstreams: { far: ${upstream} }`,
    });
  const reply = (garter: Garter, name: string): Promise<number> =>
    replyCode(garter, request5(Command.connect, name, echo.port));
  /** Sends data there and back; returns the destination that the far garter was asked for. */
  const askedFor = async (garter: Garter, name: string): Promise<string> => {
    await works(garter, { host: name, port: echo.port });
    const { bound } = await garter.record({ destination: `${name}:${echo.port}`, end: 'client:relay' });
    const { destination } = await far.record({ bound, end: 'client:relay' });
    return destination!;
  };

  suite('for destinations that are resolved here', () => {
    let hasty: Garter;
    let garter: Garter;
    before(async () => {
      const upstream = `"socks5://127.0.0.1:${far.port}"`;
      [hasty, garter] = [await near(upstream, 1), await near(upstream)];
      resources.use(hasty);
      resources.use(garter);
    });

    for (const [name, { code }] of Object.entries(failures)) {
      test(`${name}: reply 4, and the upstream is not asked`, async () => {
        const { length } = await far.records();
        assert.equal(await reply(hasty, name), 4);
        await hasty.record({ end: `target:resolve:${code}` });
        assert.equal((await far.records()).length, length);
      });
    }

    test('a thousand addresses, by TCP after TC', async () => {
      answers.set('A thousand.test', (asked: Asked) => {
        if (asked.over === 'udp') return [response(asked, { flags: TRUNCATED })];
        const records = Array.from({ length: 1000 }, (_, i) => address(asked.name, `127.0.0.${1 + (i % 5)}`));
        return [response(asked, { answers: records })];
      });
      assert.match(await askedFor(garter, 'thousand.test'), /^127\.0\.0\.[1-5]:/);
    });

    test('rebinding: the checked address is the one requested from the upstream, and the next answer is checked again', async () => {
      answers.set('A rebind.test', is('127.0.0.1', 0));
      const count = names.asked.length;
      assert.equal(await askedFor(garter, 'rebind.test'), `127.0.0.1:${echo.port}`);
      const asked = names.asked.slice(count).filter(({ type }) => type === 'A');
      assert.equal(asked.length, 1, 'one question for judgement and connection');
      answers.set('A rebind.test', is('127.0.0.66', 0));
      const { length } = await far.records();
      assert.equal(await reply(garter, 'rebind.test'), 2);
      assert.equal((await far.records()).length, length);
    });

    test('forged answers are ignored', async () => {
      const stranger = createSocket('udp4');
      answers.set('A poisoned.test', async (asked) => {
        const evil = { answers: [address('poisoned.test', '127.0.0.3')] };
        await new Promise((sent) =>
          stranger.send(response(asked, evil), asked.from.port, asked.from.host, sent),
        );
        return [
          response({ ...asked, id: asked.id ^ 1 }, evil),
          response(asked, { ...evil, question: { name: 'other.test' } }),
          response(asked, {
            answers: [address('other.test', '127.0.0.3'), address(asked.name, '127.0.0.4')],
          }),
        ];
      });
      assert.equal(await askedFor(garter, 'poisoned.test'), `127.0.0.4:${echo.port}`);
      stranger.close();
    });

    test('a hundred unanswered names do not delay other names', async () => {
      const stuck = Array.from({ length: 100 }, (_, i) => `stuck-${i}.test`);
      for (const name of stuck) for (const type of ['A', 'AAAA']) answers.set(`${type} ${name}`, () => []);
      answers.set('A prompt.test', is('127.0.0.5'));
      const waiting = Promise.all(stuck.map((name) => reply(garter, name)));
      const first = await Promise.race([askedFor(garter, 'prompt.test'), waiting]);
      assert.equal(first, `127.0.0.5:${echo.port}`);
      assert.deepEqual(await waiting, Array<number>(100).fill(4));
    });
  });

  suite('for upstreams', () => {
    for (const [name, { code }] of Object.entries(failures)) {
      test(`${name}: the next server, or reply 1 if there is none`, async () => {
        await using group = await near(
          `{ servers: ["socks5h://${name}:1080", "socks5h://127.0.0.1:${far.port}"] }`,
          1,
        );
        assert.equal(await askedFor(group, '127.0.0.1'), `127.0.0.1:${echo.port}`);
        await using alone = await near(`"socks5h://${name}:1080"`, 1);
        assert.equal(await reply(alone, 'www.passed.test'), 1);
        await alone.record({ end: `upstream:dial:${code}` });
      });
    }

    test('a silent IPv6 address does not use up the time-out', async () => {
      await using hole = await startBlackHole('::1', far.port);
      assert.equal(hole.port, far.port);
      answers.set('AAAA eyeballs.test', is('::1'));
      answers.set('A eyeballs.test', is('127.0.0.1'));
      await using garter = await near(`"socks5h://eyeballs.test:${far.port}"`);
      assert.equal(await askedFor(garter, '127.0.0.1'), `127.0.0.1:${echo.port}`);
    });
  });
});
