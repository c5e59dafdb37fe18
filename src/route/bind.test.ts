import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { MemoryConnection } from '../../test/support/memory-connection.ts';
import { MemoryClient } from '../../test/support/memory-client.ts';
import { MemoryEngine } from '../../test/support/memory-engine.ts';
import { ClientHandshake } from '../handshake/client.ts';
import { addressOf, UNSPECIFIED } from '../wire/address.ts';
import type { HostPort } from '../wire/address.ts';
import { parseIp } from '../wire/ip.ts';
import { Command, encodeSocks5Reply, Reply } from '../wire/socks5.ts';
import { awaitPeerHere, awaitPeerThere } from './bind.ts';
import type { BindOptions, BoundPort } from './bind.ts';
import type { Opened } from './dial-context.ts';
import type { RoutedPermit } from './judge.ts';

const PEER = '203.0.113.1';
const SERVER = '192.0.2.1';
const FAR = '192.0.2.9';

function options(accepts: BindOptions['accepts'], more: Partial<BindOptions> = {}): BindOptions {
  return { ipv4Only: false, device: undefined, accepts, own: () => () => {}, ...more };
}

/**
 * For peers at these addresses, or without addresses for any peer. Contains only the parts of a permit that
 * opening a port uses.
 */
function permitFor(addresses: readonly string[], egress?: string): RoutedPermit {
  const ips = addresses.map((one) => parseIp(one)!);
  const route = { label: 'direct', egress: egress && { addresses: [egress], rotate: 'none' } };
  return { permit: { addresses: ips }, route, addresses: ips } as unknown as RoutedPermit;
}

suite('a port on this machine', () => {
  const HERE: readonly {
    readonly title: string;
    readonly peers?: readonly string[];
    readonly clientSide?: string;
    readonly egress?: string;
    readonly more?: Partial<BindOptions>;
    readonly at: string;
  }[] = [
    { title: 'any peer: at the address that the client connected to', at: SERVER },
    { title: 'any peer, over IPv6', clientSide: '2001:db8::1', at: '2001:db8::1' },
    {
      title: 'a known peer: at the egress of the route',
      peers: [PEER],
      egress: '192.0.2.50',
      at: '192.0.2.50',
    },
    {
      title: 'an interface: at the address that the client connected to',
      peers: [PEER],
      more: { device: 'lan0' },
      at: `${SERVER}%lan0`,
    },
  ];
  for (const { title, peers = [], clientSide = SERVER, egress, more, at } of HERE) {
    test(title, async () => {
      const port = await awaitPeerHere(
        permitFor(peers, egress),
        clientSide,
        new MemoryEngine(),
        options(() => true, more),
      );
      assert.equal(port.bound.host, at);
      await port.close();
    });
  }

  test('only the first acceptable peer is accepted, and the port is marked as our own until it is closed', async () => {
    const engine = new MemoryEngine();
    const seen: string[] = [];
    const own: (HostPort | string)[] = [];
    const wanted = options((remote) => seen.push(remote.host) > 1, {
      own: (port) => {
        own.push(port);
        return () => own.push('free');
      },
    });
    const port = await awaitPeerHere(permitFor([]), SERVER, engine, wanted);
    const connect = async (from: string): Promise<MemoryClient> =>
      new MemoryClient(await engine.connect(port.bound, { from, timeout: 0 }));
    await (await connect('203.0.113.66')).gone();
    const peer = await connect(PEER);
    await (await connect(PEER)).gone();
    assert.deepEqual((await port.peer).remote, { host: PEER, port: peer.localPort });
    assert.deepEqual(seen, ['203.0.113.66', PEER], 'the one that came too late is not asked about');
    await port.close();
    assert.deepEqual(own, [port.bound, 'free']);
    await assert.rejects(connect(PEER), { code: 'ECONNREFUSED' });
    peer.send(Buffer.from('x'));
    assert.deepEqual(await (await port.peer).connection.read(), Uint8Array.of(120));
  });
});

/** A server that has sent its first reply. */
async function asked(bound: HostPort): Promise<{ readonly far: MemoryClient; readonly opened: Opened }> {
  const [near, far] = MemoryConnection.pair({ host: SERVER, port: 1 }, { host: FAR, port: 1080 });
  const handshake = new ClientHandshake({
    protocol: 'socks5',
    command: Command.bind,
    destination: UNSPECIFIED,
  });
  handshake.start();
  handshake.receive(Uint8Array.of(5, 0));
  handshake.next();
  handshake.receive(reply(Reply.succeeded, bound));
  handshake.next();
  const servers = [
    { type: 'server', label: 'far', protocol: 'socks5', passesNames: false, at: { host: FAR, port: 1080 } },
  ] as const;
  return {
    far: new MemoryClient(far),
    opened: { stream: near, bound, handshake, servers, release: () => {} },
  };
}

function reply(code: Reply, { host, port }: HostPort): Uint8Array {
  return encodeSocks5Reply({ code, bound: addressOf(host, port) });
}

async function there(bound: HostPort, wanted: BindOptions): Promise<readonly [MemoryClient, BoundPort]> {
  const { far, opened } = await asked(bound);
  return [far, awaitPeerThere(opened, wanted)];
}

suite('a port at the last server', () => {
  for (const [bound, expected] of [
    [{ host: '192.0.2.77', port: 7 }, '192.0.2.77'],
    [{ host: '0.0.0.0', port: 7 }, FAR],
  ] as const) {
    test(`${bound.host} is ${expected}`, async () => {
      const [, port] = await there(
        bound,
        options(() => true),
      );
      assert.deepEqual([port.bound.host, port.bound.port], [expected, 7]);
    });
  }

  test('a peer that it accepts is connected, with the data sent after the reply', async () => {
    const [far, port] = await there(
      { host: FAR, port: 7 },
      options(({ host }) => host === PEER),
    );
    far.send(reply(Reply.succeeded, { host: `::ffff:${PEER}`, port: 5 }), Buffer.from('x'));
    const { connection, remote } = await port.peer;
    assert.deepEqual(remote, { host: PEER, port: 5 });
    await port.close();
    assert.deepEqual(await connection.read(), Uint8Array.of(120));
  });

  for (const [title, code, expected] of [
    ['another peer', Reply.succeeded, { trouble: 'reply', code: 'wrong-peer' }],
    ['a refusal', Reply.ttlExpired, { trouble: 'reply', code: 'reply-6', reply: Reply.ttlExpired }],
  ] as const) {
    test(`${title} ends it`, async () => {
      const [far, port] = await there(
        { host: FAR, port: 7 },
        options(() => false),
      );
      far.send(reply(code, { host: PEER, port: 5 }));
      await assert.rejects(port.peer, expected);
      await port.close();
      await far.gone();
    });
  }

  test('an IPv6 address does not fit into a SOCKS4 reply', async () => {
    const wanted = options(() => true, { ipv4Only: true });
    await assert.rejects(there({ host: '2001:db8::1', port: 7 }, wanted), {
      trouble: 'unable',
      code: 'address-type',
    });
  });
});
