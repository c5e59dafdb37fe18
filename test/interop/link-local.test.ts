import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { startGarter, type Garter } from '../support/garter.ts';
import { check, run, start } from '../support/process.ts';
import { addCable, addMachine, deviceTo, tune, type Machine } from './machine.ts';

/** The same on both links, which only the zone distinguishes. */
const [PROXY, CLIENT] = ['fe80::1', 'fe80::2'];
const SERVER = '10.77.3.2';
const ECHO_PORT = 7;
const through = join(import.meta.dirname, 'clients/through.ts');
const echo = join(import.meta.dirname, 'clients/echo.ts');
const bind = join(import.meta.dirname, 'clients/bind.ts');

suite('link-local IPv6', () => {
  const stack = new AsyncDisposableStack();
  let one: Machine;
  let two: Machine;
  let proxy: Machine;
  let server: Machine;
  before(async () => {
    one = stack.use(await addMachine('one'));
    two = stack.use(await addMachine('two'));
    proxy = stack.use(await addMachine('proxy'));
    server = stack.use(await addMachine('server'));
    // Disables automatic addresses.
    for (const machine of [one, two, proxy, server])
      await tune(machine, 'net.ipv6.conf.default.addr_gen_mode=1');
    for (const client of [one, two])
      await addCable({ at: client, addresses: [`${CLIENT}/64`] }, { at: proxy, addresses: [`${PROXY}/64`] });
    await addCable(
      { at: server, addresses: [`${SERVER}/24`, `${CLIENT}/64`] },
      { at: proxy, addresses: ['10.77.3.1/24', `${PROXY}/64`] },
    );
    stack.use(
      await start([...server.prefix, process.execPath, echo, String(ECHO_PORT), 'server'], {
        ready: /ready/,
      }),
    );
  });
  after(() => stack.disposeAsync());

  const garterOn = (host: string, config = ''): Promise<Garter> =>
    startGarter({
      host,
      prefix: proxy.prefix,
      config: `accept: [{ name: link, allow: true, from: ["fe80::/10"] }]
rules: [{ name: all, allow: any, to: [any, link-local], from: ["fe80::/10"] }]
${config}`,
    });

  const ask = (
    from: Machine,
    { port }: Garter,
    program: string,
    ...words: readonly string[]
  ): Promise<string> =>
    check([...from.prefix, process.execPath, program, `${PROXY}%${deviceTo(proxy)}`, String(port), ...words]);
  const hello = (from: Machine, garter: Garter, command: 'connect' | 'udp', to = SERVER): Promise<string> =>
    ask(from, garter, through, command, to, String(ECHO_PORT));

  for (const [host, clients] of [
    ['::', ['one', 'two']],
    [`${PROXY}%to-one`, ['one']],
  ] as const) {
    for (const name of clients) {
      test(`on ${host}: a client on the link to ${name} can CONNECT, BIND and send datagrams`, async () => {
        const client = name === 'one' ? one : two;
        await using garter = await garterOn(host);
        assert.equal(await hello(client, garter, 'connect'), 'reply 0\ngot server hears 10.77.3.1: hello\n');
        const record = await garter.record({ command: 'connect', end: 'client:relay' });
        assert.match(record.client, new RegExp(`^\\[${CLIENT}%to-${name}\\]:\\d+$`));
        assert.equal(record.listener, `[${PROXY}%to-${name}]:${garter.port}`);

        assert.match(
          await hello(client, garter, 'udp'),
          /^relay fe80::1 \d+\ngot server hears 10\.77\.3\.1: hello\n$/,
        );
        const { bound } = await garter.record({ command: 'udp' });
        assert.match(bound!, new RegExp(`^\\[${PROXY}%to-${name}\\]:\\d+$`));

        // The peer is on the client's own link.
        const binding = [...client.prefix, process.execPath, bind, `${PROXY}%${deviceTo(proxy)}`];
        await using waiting = await start([...binding, String(garter.port), CLIENT], {
          ready: /^bound (\S+) (\d+)$/m,
        });
        const [, at, port] = waiting.ready;
        assert.equal(at, PROXY);
        const peer = ['ncat', '-6', '--send-only', `${PROXY}%${deviceTo(proxy)}`, port!];
        await check([...client.prefix, ...peer], { input: 'ready' });
        assert.equal(await waiting.ended(), 0);
        assert.match(waiting.stdout(), new RegExp(`from ${CLIENT}\ngot ready`));
      });
    }
  }

  test('a listener on one link is not reachable from another', async () => {
    await using garter = await garterOn(`${PROXY}%to-one`);
    const greet = ['ncat', '-6', '-w', '5', `${PROXY}%${deviceTo(proxy)}`, String(garter.port)];
    const answer = async (from: Machine): Promise<string> =>
      (await run([...from.prefix, ...greet], { input: '\x05\x01\x00' })).stdout;
    assert.equal(await answer(one), '\x05\x00');
    assert.equal(await answer(two), '');
  });

  test('a relay is only reachable from its own link', async () => {
    await using garter = await garterOn('::');
    const program = [through, `${PROXY}%${deviceTo(proxy)}`, String(garter.port), 'udp', SERVER, '9'];
    await using client = await start([...one.prefix, process.execPath, ...program], {
      ready: /^relay \S+ (\d+)$/m,
    });
    // The kernel reports that there is no listener.
    const knock = `
      const socket = require('node:dgram').createSocket('udp6');
      socket.on('error', ({ code }) => { console.log(code); socket.close(); });
      socket.connect(${client.ready[1]}, '${PROXY}%${deviceTo(proxy)}', () => socket.send('x'));`;
    const knocked = await run([...two.prefix, process.execPath, '-e', knock]);
    assert.equal(knocked.stdout, 'ECONNREFUSED\n');
  });

  test('the same address on two links counts as one', async () => {
    await using garter = await garterOn('::', 'limits: { per-address: 1 }');
    const held = ['ncat', '-6', '-v', '--recv-only', `${PROXY}%${deviceTo(proxy)}`, String(garter.port)];
    await using _ = await start([...one.prefix, ...held], { ready: /Connected/ });
    await run([...two.prefix, ...held]);
    const { client } = await garter.record({ end: 'limit:accept:per-address' });
    assert.match(client, new RegExp(`^\\[${CLIENT}%to-two\\]`));
  });

  test('a destination without a zone has no route, unless the egress is the address that the client connected to', async () => {
    await using garter = await garterOn('::');
    assert.equal(await hello(server, garter, 'connect', CLIENT), 'reply 1\n');
    await using same = await garterOn('::', 'routes: [{ to: [any], via: direct, rotate: same-as-incoming }]');
    const said = `server hears ${PROXY}%to-proxy: hello`;
    assert.equal(await hello(server, same, 'connect', CLIENT), `reply 0\ngot ${said}\n`);
    assert.ok((await hello(server, same, 'udp', CLIENT)).includes(said));
    const { address } = await same.record({ command: 'connect' });
    assert.equal(address, `[${CLIENT}%to-server]:${ECHO_PORT}`);
  });
});
