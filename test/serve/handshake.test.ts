import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { startGarter, type Garter } from '../support/garter.ts';
import { formatHex, parseHex, RawClient, request5 } from '../support/raw.ts';
import { startEcho, type Target } from '../support/targets.ts';

suite('the handshake has a single deadline', { concurrency: true }, () => {
  let garter: Garter;
  before(async () => {
    garter = await startGarter({
      listener: ['methods: [password, none]'],
      users: { alice: 'secret' },
      config: 'timeouts: { handshake: 1s }',
    });
  });
  after(() => garter[Symbol.asyncDispose]());

  const login = Buffer.from('\x01\x05alice\x06secret');
  const silences = [
    { title: 'nothing', says: [], end: 'timeout:greeting' },
    { title: 'one byte', says: ['05'], end: 'timeout:greeting' },
    { title: 'half a greeting', says: ['05 02 00'], end: 'timeout:greeting' },
    { title: 'a greeting', says: ['05 01 00'], end: 'timeout:request' },
    { title: 'half a login', says: ['05 01 02', login.subarray(0, 9)], end: 'timeout:auth' },
    { title: 'a login', says: ['05 01 02', login], end: 'timeout:request' },
    { title: 'half a request', says: ['05 01 00', '05 01 00 01 7f'], end: 'timeout:request' },
    { title: 'half a SOCKS4 request', says: ['04 01 00 50 7f 00 00 01 61'], end: 'timeout:greeting' },
  ];
  /** The duration of the first of them. */
  let allowed: number | undefined;
  for (const { title, says, end } of silences) {
    test(`${title}, then silence`, async () => {
      using client = await RawClient.connect(garter);
      client.send(...says);
      await client.gone();
      const { duration } = await garter.record({ client: `127.0.0.1:${client.localPort}`, end });
      allowed ??= duration;
      assert.ok(duration >= 990 && duration < 5 * allowed, `${duration} ms, the first time ${allowed}`);
    });
  }

  test('one byte every 0.2 s does not extend it', async () => {
    using silent = await RawClient.connect(garter);
    using client = await RawClient.connect(garter);
    client.send('04 01 00 50 7f 00 00 01');
    const drip = setInterval(() => client.send('61'), 200);
    try {
      await client.gone();
    } finally {
      clearInterval(drip);
    }
    await silent.gone();
    const { duration } = await garter.record({ client: `127.0.0.1:${client.localPort}` });
    const { duration: silence } = await garter.record({ client: `127.0.0.1:${silent.localPort}` });
    assert.ok(duration >= 990 && duration < 5 * silence, `${duration} ms, with silence ${silence}`);
  });
});

suite('faulty clients', () => {
  let garter: Garter;
  let echo: Target;
  before(async () => {
    garter = await startGarter({ listener: ['methods: [none, password]'], users: { alice: 'secret' } });
    echo = await startEcho();
  });
  after(async () => {
    await echo[Symbol.asyncDispose]();
    await garter[Symbol.asyncDispose]();
  });

  const named = (name: string): Buffer =>
    Buffer.concat([parseHex('05 01 00 03'), Buffer.of(name.length), text(name), parseHex('00 50')]);
  const nothing = '00 01 00 00 00 00 00 00'; // RSV, ATYP, BND.ADDR and BND.PORT of a refusal
  const refused = (code: string): string => `05 00 05 ${code} ${nothing}`;
  const rejected = '00 5b 00 00 00 00 00 00';
  const filler = Buffer.alloc(65_536, 'a');

  // Everything that the client sends, in one piece, and everything it receives until garter ends the
  // connection.
  const faults = [
    { title: 'no methods', says: ['05 00'], gets: '05 ff' },
    { title: 'bytes after a refusal', says: ['05 01 09 01 05 61 62', filler], gets: '05 ff' },
    {
      title: 'a login of 255 and 255',
      says: ['05 01 02 01 ff', filler.subarray(0, 255), 'ff', filler.subarray(0, 255)],
      gets: '05 02 01 01',
    },
    { title: 'address type 0', says: ['05 01 00 05 01 00 00 7f 00 00 01 00 50'], gets: refused('08') },
    { title: 'a SOCKS4 user id without end', says: ['04 01 00 50 7f 00 00 01', filler], gets: rejected },
    { title: 'a SOCKS4A name without end', says: ['04 01 00 50 00 00 00 01 00', filler], gets: rejected },
    { title: 'a TLS hello', says: ['16 03 01 02 00 01 00 01 fc 03 03', filler.subarray(0, 508)], gets: '' },
    { title: 'SSH', says: [text('SSH-2.0-OpenSSH_9.2\r\n')], gets: '' },
    { title: '64 KB of 0xff', says: [Buffer.alloc(65_536, 0xff)], gets: '' },
  ];
  for (const { title, says, gets } of faults) {
    test(`${title}: receives ${gets === '' ? 'nothing' : gets}`, async () => {
      using client = await RawClient.connect(garter);
      client.send(...says);
      client.end();
      assert.equal(formatHex(await client.rest()), gets);
      const record = await garter.record({ client: `127.0.0.1:${client.localPort}` });
      assert.equal(record.address, undefined, 'nothing was dialled');
    });
  }

  test('none of it affected other clients', async () => {
    using client = await RawClient.connect(garter);
    client.send('05 01 00', request5(1, echo.host, echo.port), text('hello'));
    await client.expect('05 00 05 00 00 01 7f 00 00 01');
    await client.read(2);
    await client.expect(text('hello'));
  });

  test('one byte per segment works like one piece', async () => {
    using client = await RawClient.connect(garter);
    const all = Buffer.concat([parseHex('05 02 00 02'), request5(1, echo.host, echo.port), text('hello')]);
    for (const byte of all) {
      client.send(Buffer.of(byte));
      await delay(2);
    }
    await client.expect('05 00 05 00 00 01 7f 00 00 01');
    await client.read(2);
    await client.expect(text('hello'));
  });

  test('a nonzero RSV, and a method offered twice, are accepted', async () => {
    using client = await RawClient.connect(garter);
    const request = request5(1, echo.host, echo.port);
    request[2] = 0xff;
    client.send('05 03 00 00 00', request);
    await client.expect('05 00 05 00 00');
  });

  test('[127.0.0.1], a trailing dot and capitals are understood', async () => {
    for (const name of ['[127.0.0.1]', '127.0.0.1', 'LocalHost.', 'localhost']) {
      using client = await RawClient.connect(garter);
      client.send('05 01 00', request5(1, name, echo.port));
      await client.expect('05 00 05 00');
    }
  });

  test('HTTP: a page explains what this port is', async () => {
    using client = await RawClient.connect(garter);
    client.send(text('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'));
    const page = (await client.rest()).toString();
    assert.match(page, /^HTTP\/1\.1 4\d\d /);
    assert.match(page, /SOCKS/);
    await garter.record({ client: `127.0.0.1:${client.localPort}`, end: 'client:greeting:http' });
  });

  test('TLS: a line in the log explains the mistake', async () => {
    using client = await RawClient.connect(garter);
    client.send('16 03 01 00 05 01 00 00 01 03');
    await client.gone();
    const record = await garter.record({ client: `127.0.0.1:${client.localPort}` });
    assert.match(record.end!, /tls/);
  });

  test('nothing follows a reply, whatever the client sends next', async () => {
    using client = await RawClient.connect(garter);
    client.send('05 01 00');
    await client.expect('05 00');
    client.send('05 09 00 01 7f 00 00 01 00 50', filler);
    await client.expect('05 07');
    for (let i = 0; i < 5; i++) client.send('05 01 00', request5(1, echo.host, echo.port));
    assert.equal(formatHex(await client.rest()), nothing);
  });

  test('the log escapes what a client sent', async () => {
    using client = await RawClient.connect(garter);
    client.send('05 01 00', named('evil\r\n{"level":"error"}\x1b[2J'));
    await client.gone();
    const record = await garter.record({ client: `127.0.0.1:${client.localPort}` });
    assert.match(record.destination!, /evil/);
    assert.ok((await garter.log()).every(({ level }) => level !== 'error'));
  });
});

function text(value: string): Buffer {
  return Buffer.from(value, 'latin1');
}
