import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { decodeProxyHeader } from '../../src/wire/proxy-header.ts';
import { cert, key } from '../support/certificate.ts';
import { associate, Datagrams, frame } from '../support/datagrams.ts';
import { makeDirectory } from '../support/directory.ts';
import { type Garter, OPEN, startGarter } from '../support/garter.ts';
import { until } from '../support/process.ts';
import { connectThrough, RawClient, works } from '../support/raw.ts';
import { at, startDatagramEcho, startEcho, startTarget, type Target } from '../support/targets.ts';

const CLIENT = '127.0.0.9';

function upstream(...more: readonly string[]): Promise<Garter> {
  return startGarter({ listener: ['protocols: [socks5, socks4, http]', ...more], config: OPEN });
}

const near = (version: string, via: string, upstreams = 'none: "socks5h://127.0.0.1:1"'): Promise<Garter> =>
  startGarter({
    config: `${OPEN}\nroutes: [{ to: [any], via: "${via}", send-proxy: ${version} }]\nupstreams: { ${upstreams} }`,
    complaint: /^$|no route leads to this upstream/,
  });

suite('send-proxy of a route', () => {
  const resources = new AsyncDisposableStack();
  let echo: Target;
  /** Upstreams that require a PROXY header. */
  let far: Garter;
  let encrypted: Garter;
  let directory: string;
  before(async () => {
    directory = resources.use(await makeDirectory()).path;
    await writeFile(join(directory, 'cert.pem'), cert);
    await writeFile(join(directory, 'key.pem'), key, { mode: 0o600 });
    echo = resources.use(await startEcho());
    const balancer = 'proxy-protocol: { from: [127.0.0.1] }';
    far = resources.use(await upstream(balancer));
    const tls = `tls: { cert: ${directory}/cert.pem, key: ${directory}/key.pem }`;
    encrypted = resources.use(await upstream(balancer, tls));
  });
  after(() => resources.disposeAsync());

  for (const version of ['v1', 'v2'] as const) {
    test(`${version}, directly: the header comes first, and then what the client sends`, async () => {
      const received: Buffer[] = [];
      await using target = await startTarget((socket) =>
        socket.on('data', (data: Buffer) => received.push(data)),
      );
      await using garter = await near(version, 'direct');
      using client = await connectThrough(garter, target, CLIENT);
      const first = await until(
        () => (received.length > 0 ? received[0] : undefined),
        () => 'nothing was received',
      );
      assert.deepEqual(decodeProxyHeader(first)?.value, {
        addresses: {
          source: { host: CLIENT, port: client.localPort },
          destination: { host: '127.0.0.1', port: garter.port },
        },
      });
      assert.equal(decodeProxyHeader(first)?.size, first.length, 'the target need not wait for the client');
      assert.equal(first[0], version === 'v1' ? 0x50 : 0x0d);
      client.send(Buffer.from('hello'));
      await until(
        () => Buffer.concat(received.slice(1)).toString() === 'hello',
        () => 'the rest is missing',
      );
      client.reset();
    });

    for (const scheme of ['socks5h', 'socks4a', 'http']) {
      test(`${version}, to a ${scheme} upstream: before the handshake`, async () => {
        await using garter = await near(version, `${scheme}://${at(far)}`);
        using client = await connectThrough(garter, echo, CLIENT);
        client.end();
        await client.rest();
        await far.record({ client: `${CLIENT}:${client.localPort}`, destination: at(echo) });
      });
    }

    test(`${version}, to an encrypted upstream: before TLS`, async () => {
      const tls = `tls: { name: localhost, ca: ${directory}/cert.pem }`;
      await using garter = await near(version, 'up', `up: { url: "socks5h+tls://${at(encrypted)}", ${tls} }`);
      using client = await connectThrough(garter, echo, CLIENT);
      client.end();
      await client.rest();
      await encrypted.record({ client: `${CLIENT}:${client.localPort}`, destination: at(echo) });
    });
  }

  test('in a chain, the first server gets it', async () => {
    await using last = await startGarter({ config: OPEN });
    await using garter = await near(
      'v2',
      'up',
      `up: { chain: ["socks5h://${at(far)}", "socks5h://${at(last)}"] }`,
    );
    using client = await connectThrough(garter, echo, CLIENT);
    client.end();
    await client.rest();
    await far.record({ client: `${CLIENT}:${client.localPort}`, destination: at(last) });
    await last.record({ destination: at(echo) });
  });

  test('the header of an association has no address, as its datagrams come from garter', async () => {
    await using datagramEcho = await startDatagramEcho();
    await using garter = await near('v2', `socks5h://${at(far)}`);
    using client = await Datagrams.bind(CLIENT);
    const control = await RawClient.connect(garter, CLIENT);
    using association = await associate(garter, undefined, undefined, control);
    await client.send(frame(datagramEcho, 'ping'), association.relay);
    assert.deepEqual((await client.receive()).data, frame(datagramEcho, 'ping'));
    association.control.end();
    const { client: seen } = await far.record({ command: 'udp' });
    assert.match(seen, /^127\.0\.0\.1:/);
  });

  test("health checks are garter's own: the header has no address", async () => {
    const first = Promise.withResolvers<Buffer>();
    await using server = await startTarget((socket) => socket.on('data', first.resolve));
    await using _ = await near(
      'v2',
      'up',
      `up: { servers: ["socks5h://${at(server)}"], health: { every: 50ms } }`,
    );
    const data = await first.promise;
    assert.deepEqual(decodeProxyHeader(data)?.value, {});
    assert.equal(data[12], 0x20, 'LOCAL');
  });

  test('a route without it sends none', async () => {
    await using garter = await startGarter({ config: `${OPEN}\nroutes: [{ to: [any], via: direct }]` });
    await works(garter, echo);
  });
});
