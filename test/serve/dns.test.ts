import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { startGarter, type Garter } from '../support/garter.ts';
import { address, response, startNameServer, type Asked, type NameServer } from '../support/name-server.ts';
import {
  Command,
  formatHex,
  nameAddress,
  parseHex,
  RawClient,
  replyCode,
  request5,
  works,
} from '../support/raw.ts';
import { startBlackHole, startEcho, type Target } from '../support/targets.ts';

const TRUNCATED = 0x200; // TC, RFC 1035 section 4.1.1

suite('names', () => {
  const resources = new AsyncDisposableStack();
  let names: NameServer;
  let garter: Garter;
  let echo: Target;
  /** The responses of the name server, by name; questions of other types get an empty answer. */
  const answers = new Map<string, (asked: Asked) => readonly Buffer[] | Promise<readonly Buffer[]>>();
  before(async () => {
    names = resources.use(
      await startNameServer(
        (asked) => answers.get(`${asked.type} ${asked.name}`)?.(asked) ?? [response(asked)],
      ),
    );
    echo = resources.use(await startEcho('0.0.0.0'));
    garter = resources.use(
      await startGarter({
        config: `
rules:
  - { name: local, allow: [connect, resolve], to: [127.0.0.0/29, "::1", 192.0.2.0/24] }
resolve: { servers: ["${names.endpoint.host}:${names.endpoint.port}"], timeout: 2s }
timeouts: { connect: 10m }`,
      }),
    );
  });
  after(() => resources.disposeAsync());

  const reply = (name: string): Promise<number> =>
    replyCode(garter, request5(Command.connect, name, echo.port));
  const dialledFor = async (name: string): Promise<string> => {
    await works(garter, { host: name, port: echo.port });
    const { address: dialled } = await garter.record({ destination: `${name}:${echo.port}` });
    return dialled!;
  };

  test('an address', async () => {
    answers.set('A one.test', (asked) => [response(asked, { answers: [address(asked.name, '127.0.0.1')] })]);
    assert.equal(await dialledFor('one.test'), `127.0.0.1:${echo.port}`);
  });

  const failures = [
    {
      name: 'missing.test',
      says: (asked: Asked) => [response(asked, { rcode: 3 })],
      end: 'target:resolve:ENOTFOUND',
    },
    { name: 'empty.test', says: (asked: Asked) => [response(asked)], end: 'target:resolve:ENOTFOUND' },
    {
      name: 'servfail.test',
      says: (asked: Asked) => [response(asked, { rcode: 2 })],
      end: 'target:resolve:ESERVFAIL',
    },
    { name: 'silent.test', says: () => [], end: 'target:resolve:ETIMEOUT' },
  ];
  const durations: number[] = [];
  for (const { name, says, end } of failures) {
    test(`${name}: reply 4`, async () => {
      answers.set(`A ${name}`, says);
      answers.set(`AAAA ${name}`, says);
      assert.equal(await reply(name), 4);
      const { duration } = await garter.record({ destination: `${name}:${echo.port}`, end });
      durations.push(duration);
    });
  }

  test('a useless answer fails sooner than a missing one', () => {
    const silent = durations.pop()!;
    assert.ok(Math.max(...durations) < silent, `${durations.join(' ')}, and ${silent} ms`);
  });

  test('a thousand addresses, by TCP after TC', async () => {
    answers.set('A thousand.test', (asked) => {
      if (asked.over === 'udp') return [response(asked, { flags: TRUNCATED })];
      const records = Array.from({ length: 1000 }, (_, i) => address(asked.name, `127.0.0.${1 + (i % 5)}`));
      return [response(asked, { answers: records })];
    });
    assert.match(await dialledFor('thousand.test'), /^127\.0\.0\.[1-5]:/);
    assert.ok(names.asked.some(({ name, over }) => name === 'thousand.test' && over === 'tcp'));
  });

  test('rebinding: the checked address is the one that is dialled, and the next answer is checked again', async () => {
    let asks = 0;
    answers.set('A rebind.test', (asked) => {
      const data = asks++ === 0 ? '127.0.0.1' : '127.0.0.66';
      return [response(asked, { answers: [address(asked.name, data, 0)] })];
    });
    assert.equal(await dialledFor('rebind.test'), `127.0.0.1:${echo.port}`);
    assert.equal(asks, 1, 'one question for the check and the connection');
    assert.equal(await reply('rebind.test'), 2);
    assert.equal(asks, 2, 'TTL 0 is not kept');
  });

  test('an answer with an allowed address and a refused one', async () => {
    answers.set('A mixed.test', (asked) => [
      response(asked, { answers: [address(asked.name, '127.0.0.66'), address(asked.name, '127.0.0.2')] }),
    ]);
    assert.equal(await dialledFor('mixed.test'), `127.0.0.2:${echo.port}`);
  });

  test('forged answers are ignored', async () => {
    const stranger = createSocket('udp4');
    answers.set('A poisoned.test', async (asked) => {
      const evil = { answers: [address('poisoned.test', '127.0.0.3')] };
      const spoofed = response(asked, evil);
      await new Promise((sent) => stranger.send(spoofed, asked.from.port, asked.from.host, sent));
      await delay(50);
      return [
        Buffer.from('no message at all'),
        response({ ...asked, id: asked.id ^ 1 }, evil),
        response(asked, { ...evil, question: { name: 'other.test' } }),
        response(asked, { ...evil, question: { type: 'AAAA' } }),
        response(asked, { answers: [address('other.test', '127.0.0.3'), address(asked.name, '127.0.0.4')] }),
      ];
    });
    assert.equal(await dialledFor('poisoned.test'), `127.0.0.4:${echo.port}`);
    stranger.close();
  });

  test('a silent IPv6 address does not use up the time-out', async () => {
    await using hole = await startBlackHole('::1', echo.port);
    assert.equal(hole.port, echo.port);
    answers.set('AAAA eyeballs.test', (asked) => [
      response(asked, { answers: [address(asked.name, '::1')] }),
    ]);
    answers.set('A eyeballs.test', (asked) => [
      response(asked, { answers: [address(asked.name, '127.0.0.1')] }),
    ]);
    assert.equal(await dialledFor('eyeballs.test'), `127.0.0.1:${echo.port}`);
  });

  test('an unanswered AAAA question does not delay the A question', async () => {
    answers.set('AAAA half.test', () => []);
    answers.set('A half.test', (asked) => [response(asked, { answers: [address(asked.name, '127.0.0.1')] })]);
    assert.equal(await dialledFor('half.test'), `127.0.0.1:${echo.port}`);
  });

  test('RESOLVE returns the address, RESOLVE_PTR the name', async () => {
    answers.set('A doc.test', (asked) => [response(asked, { answers: [address(asked.name, '192.0.2.7')] })]);
    answers.set('PTR 7.2.0.192.in-addr.arpa', (asked) => [
      response(asked, {
        answers: [{ name: asked.name, type: 'PTR', class: 'IN', ttl: 60, data: 'doc.test' }],
      }),
    ]);
    using forward = await RawClient.connect(garter);
    forward.send('05 01 00', request5(Command.resolve, 'doc.test', 0));
    assert.equal(formatHex(await forward.rest()), '05 00 05 00 00 01 c0 00 02 07 00 00');
    using reverse = await RawClient.connect(garter);
    reverse.send('05 01 00', request5(Command.resolvePtr, '192.0.2.7', 0));
    const name = Buffer.concat([parseHex('05 00 05 00 00'), nameAddress('doc.test', 0)]);
    assert.equal(formatHex(await reverse.rest()), formatHex(name));
  });

  test('a hundred unanswered names do not delay other names', async () => {
    const stuck = Array.from({ length: 100 }, (_, i) => {
      const name = `stuck-${i}.test`;
      answers.set(`A ${name}`, () => []);
      answers.set(`AAAA ${name}`, () => []);
      return reply(name);
    });
    let given = 0;
    for (const each of stuck) void each.then(() => given++);
    answers.set('A quick.test', (asked) => [
      response(asked, { answers: [address(asked.name, '127.0.0.1')] }),
    ]);
    await dialledFor('quick.test');
    await dialledFor('127.0.0.1');
    assert.equal(given, 0, 'of those that nobody answers for');
    const codes = await Promise.all(stuck);
    assert.ok(
      codes.every((code) => code === 4),
      codes.join(' '),
    );
  });
});
