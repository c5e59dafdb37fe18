import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { connect as connectTcp, type Socket } from 'node:net';
import { after, before, suite, test } from 'node:test';
import { connect } from 'node:tls';
import { Authority, pinOf, type Issued } from '../support/authority.ts';
import { makeDirectory } from '../support/directory.ts';
import { type Garter, type GarterOptions, OPEN, reload, startGarter } from '../support/garter.ts';
import { until } from '../support/process.ts';
import { Command, connectThrough, RawClient, replyCode, request5, works } from '../support/raw.ts';
import { startEcho, startTarget, type Target } from '../support/targets.ts';

const MIB = 1 << 20;
const PAST = { from: '20200101000000Z', until: '20200201000000Z' };
const FUTURE = { from: '20980101000000Z' };
const NAMES = 'DNS:far.test, IP:127.0.0.1';
/** The warnings of garter about certificates that are faulty on purpose. */
const WARNINGS = /warning: the certificate/;

interface FarGarter extends Garter {
  /** The ports of its listeners, in order. */
  readonly ports: readonly number[];
}

/** A garter with one listener for each of these; each consists of lines other than the address. */
async function startFar(
  listeners: readonly (readonly string[])[],
  options: GarterOptions = {},
): Promise<FarGarter> {
  const [first = [], ...others] = listeners;
  const more = others.map((lines) =>
    ['udp: {}', '  - address: "127.0.0.1:0"', ...lines.map((line) => `    ${line}`)].join('\n'),
  );
  const garter = await startGarter({ config: OPEN, ...options, listener: [...first, ...more] });
  const ports = await until(
    () => {
      const said = Array.from(garter.process.stdout().matchAll(/^garter listening on \S+:(\d+)$/gm));
      return said.length === listeners.length ? said.map(([, port]) => Number(port)) : undefined;
    },
    () => `it does not listen ${listeners.length} times: ${garter.process.stdout()}`,
  );
  return { ...garter, ports };
}

interface Way {
  /** Fields of the route other than `via`. */
  readonly for: string;
  readonly url: string;
  /** @default nothing */
  readonly tls?: string;
}

function routesFor(ways: readonly Way[]): string {
  const upstreams = ways.map(({ url, tls }, i) => {
    return `  up${i}: { url: "${url}"${tls === undefined ? '' : `, tls: { ${tls} }`} }`;
  });
  const routes = ways.map((way, i) => `  - { ${way.for}, via: up${i} }`);
  return [OPEN, 'routes:', ...routes, 'upstreams:', ...upstreams].join('\n');
}

const startNear = (ways: readonly Way[], options: GarterOptions = {}): Promise<Garter> =>
  startGarter({ env: { SECRET: 's3cret' }, ...options, config: routesFor(ways) });

const all = 'to: [any]';

async function fails(garter: Garter, port: number): Promise<void> {
  assert.equal(await replyCode(garter, request5(Command.connect, '127.0.0.1', port)), 1);
}

async function warned(garter: Garter, code: string): Promise<void> {
  await until(
    async () =>
      (await garter.log()).some((line) => line.level === 'warn' && 'code' in line && line.code === code) ||
      undefined,
    async () => `no warning of ${code}: ${JSON.stringify(await garter.log())}`,
  );
}

const tls = ({ cert, key }: Issued, more = ''): string => `tls: { cert: ${cert}, key: ${key}${more} }`;

async function digestOf(socket: Socket): Promise<string> {
  const hash = createHash('sha256');
  socket.on('data', (bytes) => hash.update(bytes));
  await once(socket, 'end');
  return hash.digest('hex');
}

suite('encrypted links', () => {
  const resources = new AsyncDisposableStack();
  let directory: string;
  let echo: Target;
  let ca: Authority;
  let strangers: Authority;
  let server: Issued;
  let alice: Issued;
  before(async () => {
    directory = resources.use(await makeDirectory()).path;
    echo = resources.use(await startEcho());
    ca = await Authority.make(directory, 'ca');
    strangers = await Authority.make(directory, 'strangers');
    server = await ca.issue('server', { names: NAMES });
    alice = await ca.issue('alice');
  });
  after(() => resources.disposeAsync());

  const certified = (): string => tls(server, `, client-ca: ${ca.cert}`);
  const shows = ({ cert, key }: Issued): string => `ca: ${ca.cert}, cert: ${cert}, key: ${key}`;

  test('there and back by every protocol; the certificate identifies the user', async () => {
    const names = 'URI:http://u.test, email:d@mail.test, DNS:d.test, DNS:e.test';
    const rows = [
      { scheme: 'socks5h+tls', client: alice, user: 'alice' },
      { scheme: 'socks5+tls', client: alice, user: 'alice' },
      { scheme: 'socks4a+tls', client: alice, user: 'alice' },
      { scheme: 'socks4+tls', client: alice, user: 'alice' },
      { scheme: 'https', client: alice, user: 'alice' },
      {
        scheme: 'https',
        client: await ca.issue('carol', { subject: '/O=x/CN=carol', names: 'DNS:c.test' }),
        user: 'carol',
      },
      { scheme: 'https', client: await ca.issue('dns', { subject: '/O=x', names }), user: 'd.test' },
      {
        scheme: 'https',
        client: await ca.issue('mail', { subject: '/O=x', names: 'email:d@mail.test' }),
        user: 'd@mail.test',
      },
    ] as const;
    await using far = await startFar([[certified(), 'protocols: [socks5, socks4, http]']], {
      config:
        'rules: [{ name: known, allow: any, user: [alice, carol, d.test, d@mail.test], method: certificate, to: [loopback] }]',
    });
    await using near = await startNear(
      rows.map(({ scheme, client }, i) => ({
        for: `to: [127.0.1.${i}]`,
        url: `${scheme}://127.0.0.1:${far.port}`,
        tls: shows(client),
      })),
    );
    for (const [i, { user }] of rows.entries()) {
      await using target = await startEcho(`127.0.1.${i}`);
      await works(near, target);
      const destination = `${target.host}:${target.port}`;
      await far.record({ destination, user, method: 'certificate', rule: 'known', end: 'client:relay' });
      await near.record({ destination, route: `up${i}`, end: 'client:relay' });
    }
  });

  test('every fault of a certificate is reported on both sides', async () => {
    const clientCa = `, client-ca: ${ca.cert}`;
    const trusts = `ca: ${ca.cert}`;
    const client = (issued: Issued): { cert: Issued; more: string; link: string } => ({
      cert: server,
      more: clientCa,
      link: shows(issued),
    });
    const rows: readonly {
      readonly cert: Issued;
      readonly more?: string;
      readonly link: string;
      readonly near: string;
      readonly far: string;
    }[] = [
      {
        cert: await ca.issue('old', { names: NAMES, ...PAST }),
        link: trusts,
        near: 'CERT_HAS_EXPIRED',
        far: 'alert-certificate-expired',
      },
      {
        cert: await ca.issue('new', { names: NAMES, ...FUTURE }),
        link: trusts,
        near: 'CERT_NOT_YET_VALID',
        far: 'alert-certificate-expired',
      },
      {
        cert: await ca.issue('other', { names: 'DNS:other.test' }),
        link: trusts,
        near: 'ERR_TLS_CERT_ALTNAME_INVALID',
        far: 'alert-bad-certificate',
      },
      // A common name is not a host name.
      {
        cert: await ca.issue('127.0.0.1'),
        link: trusts,
        near: 'ERR_TLS_CERT_ALTNAME_INVALID',
        far: 'alert-bad-certificate',
      },
      {
        cert: server,
        link: `ca: ${strangers.cert}`,
        near: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
        far: 'alert-unknown-ca',
      },
      {
        cert: server,
        link: 'name: far.test',
        near: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
        far: 'alert-unknown-ca',
      },
      {
        cert: server,
        link: `${trusts}, pin: "${await pinOf(alice.cert)}"`,
        near: 'PIN',
        far: 'alert-certificate-unknown',
      },
      {
        cert: server,
        more: clientCa,
        link: trusts,
        near: 'alert-certificate-required',
        far: 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE',
      },
      {
        ...client(await ca.issue('expired', PAST)),
        near: 'alert-certificate-expired',
        far: 'CERT_HAS_EXPIRED',
      },
      {
        ...client(await strangers.issue('stranger')),
        near: 'alert-unknown-ca',
        far: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
      },
      {
        ...client(await ca.issue('nobody', { subject: '/O=nobody' })),
        near: 'alert-access-denied',
        far: 'certificate-user',
      },
      {
        ...client(await ca.issue('two', { subject: '/CN=alice/CN=root' })),
        near: 'alert-access-denied',
        far: 'certificate-user',
      },
    ];
    await using far = await startFar(
      rows.map(({ cert, more = '' }) => [tls(cert, more)]),
      { complaint: WARNINGS },
    );
    await using near = await startNear(
      rows.map(({ link }, i) => ({
        for: `to: [any], port: ${i + 1}`,
        url: `socks5h+tls://127.0.0.1:${far.ports[i]}`,
        tls: link,
      })),
      { complaint: WARNINGS },
    );
    for (const [i, row] of rows.entries()) {
      await fails(near, i + 1);
      await near.record({ destination: `127.0.0.1:${i + 1}`, end: `upstream:dial:${row.near}` });
      await far.record({ listener: `127.0.0.1:${far.ports[i]}`, end: `client:greeting:${row.far}` });
      await warned(near, row.near);
      await warned(far, row.far);
    }
  });

  test('a client without a certificate always receives the alert, even if it has sent data early', async () => {
    await using far = await startFar([[certified()]], { config: `${OPEN}\nworkers: 1` });
    const authority = await readFile(ca.cert);
    const outcome = (early: boolean): Promise<unknown> =>
      new Promise((resolve) => {
        const socket = connect({
          host: far.host,
          port: far.port,
          ca: authority,
          checkServerIdentity: () => undefined,
        });
        socket
          .once('secureConnect', () => early && socket.write(Buffer.of(5, 1, 0)))
          .once('error', ({ code }: NodeJS.ErrnoException) => resolve(code))
          .once('close', () => resolve('closed'))
          .resume();
      });
    for (let i = 0; i < 100; i++) {
      for (const seen of await Promise.all([false, true, false, true].map(outcome)))
        assert.equal(seen, 'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', `in round ${i}`);
    }
  });

  test('without a CA the pin decides, whatever the name is, but an expired certificate is refused', async () => {
    const pinned = await strangers.issue('pinned');
    const old = await strangers.issue('pinned-old', PAST);
    await using far = await startFar([[tls(pinned)], [tls(old)]], { complaint: WARNINGS });
    await using near = await startNear([
      {
        for: 'to: [any], port: 1',
        url: `socks5h+tls://127.0.0.1:${far.ports[1]}`,
        tls: `pin: "${await pinOf(old.cert)}"`,
      },
      {
        for: all,
        url: `socks5h+tls://127.0.0.1:${far.ports[0]}`,
        tls: `pin: ["${await pinOf(alice.cert)}", "${await pinOf(pinned.cert)}"]`,
      },
    ]);
    await works(near, echo);
    await fails(near, 1);
    await near.record({ end: 'upstream:dial:CERT_HAS_EXPIRED' });
  });

  test('a users file provides groups, and its changes end sessions', async () => {
    await using far = await startFar([[certified()]], {
      users: { alice: 'unused' },
      config: 'rules: [{ name: staff, allow: any, user: "@staff", to: [loopback] }]',
    });
    await using near = await startNear([
      { for: all, url: `socks5h+tls://127.0.0.1:${far.port}`, tls: shows(alice) },
    ]);
    const file = `${far.directory}/users.txt`;
    const text = await readFile(file, 'utf8');
    await writeFile(file, text.replace(/\n$/, ':staff\n'));
    await reload(far);
    using client = await connectThrough(near, echo);
    client.send(Buffer.from('x'));
    await client.expect(Buffer.from('x'));
    await writeFile(file, '# nobody\n');
    await reload(far);
    await client.gone();
    await far.record({ user: 'alice', end: 'policy:relay:user-gone' });
    await fails(near, echo.port);
    await far.record({ end: 'client:greeting:certificate-user' });
  });

  test('a user who is removed between the TLS handshake and the greeting is refused', async () => {
    await using far = await startFar([[certified()]], { users: { alice: 'unused' } });
    const [trusted, cert, key] = await Promise.all(
      [ca.cert, alice.cert, alice.key].map((path) => readFile(path)),
    );
    const client = connect({ host: '127.0.0.1', port: far.port, ca: trusted, cert, key });
    client.on('error', () => {});
    // A ticket means that the server has accepted the certificate.
    await once(client, 'session');
    await writeFile(`${far.directory}/users.txt`, '# nobody\n');
    await reload(far);
    client.write(Buffer.of(5, 1, 0));
    await far.record({ end: 'policy:greeting:user-gone' });
    client.destroy();
  });

  test('with `methods: [certificate, password]` either is enough', async () => {
    await using far = await startFar([[certified(), 'methods: [certificate, password]']], {
      users: { alice: 's3cret' },
    });
    const to = `127.0.0.1:${far.port}`;
    await using near = await startNear([
      { for: 'to: [any], port: 1', url: `socks5h+tls://${to}`, tls: `ca: ${ca.cert}` },
      { for: 'to: [127.0.1.1]', url: `socks5h+tls://alice:\${SECRET}@${to}`, tls: `ca: ${ca.cert}` },
      { for: all, url: `socks5h+tls://${to}`, tls: shows(alice) },
    ]);
    await using other = await startEcho('127.0.1.1');
    await works(near, echo);
    await far.record({ end: 'client:relay', method: 'certificate', user: 'alice' });
    await works(near, other);
    await far.record({ end: 'client:relay', method: 'password', user: 'alice' });
    await fails(near, 1);
    await far.record({ end: 'policy:greeting:no-method' });
  });

  test('a reload reads certificates again; a faulty one changes nothing; sessions continue', async () => {
    const [cert, key] = [`${directory}/live.pem`, `${directory}/live.key`];
    const put = async (issued: Issued): Promise<void> => {
      await copyFile(issued.cert, cert);
      await copyFile(issued.key, key);
    };
    await put(server);
    await using far = await startFar([[tls({ cert, key }, `, client-ca: ${ca.cert}`)]]);
    const to = { url: `socks5h+tls://127.0.0.1:${far.port}`, tls: shows(alice) };
    const next = await ca.issue('next', { names: 'DNS:next.test' });
    await using near = await startNear([
      { for: 'to: [127.0.1.1]', ...to, tls: `${to.tls}, name: next.test` },
      { for: all, ...to },
    ]);
    await using other = await startEcho('127.0.1.1');
    using client = await connectThrough(near, echo);
    await copyFile(next.cert, cert);
    await reload(far, undefined, 'not-reloaded');
    const { report } = (await far.log()).find(({ event }) => event === 'not-reloaded') as never;
    assert.match(report, /live\.key is not the key of .*live\.pem/);
    await works(near, echo);
    await put(next);
    await reload(far);
    await works(near, other);
    await fails(near, echo.port);
    client.send(Buffer.from('still here'));
    await client.expect(Buffer.from('still here'));
  });

  test('peers without TLS, and silent ones, are disconnected', async () => {
    await using silent = await startTarget(() => undefined);
    await using far = await startFar([[tls(server)], []], {
      config: `${OPEN}\ntimeouts: { handshake: 2s, connect: 2s }
routes: [{ to: [any], via: "socks5h+tls://127.0.0.1:${silent.port}" }]`,
    });
    const [encrypted, plain] = far.ports.map((port) => ({ host: '127.0.0.1', port })) as [Target, Target];

    using socks = await RawClient.connect(encrypted);
    socks.send('05 01 00');
    assert.equal((await socks.rest()).length, 0);
    await far.record({ end: 'client:greeting:no-tls' });

    const hello = connect({ ...plain, servername: 'far.test' });
    await once(hello, 'error');
    await far.record({ end: 'client:greeting:tls' });

    const old = connect({ ...encrypted, ca: await readFile(ca.cert), maxVersion: 'TLSv1.2' });
    const [error] = await once(old, 'error');
    assert.match(String(error), /protocol version/);
    await far.record({ end: 'client:greeting:ERR_SSL_UNSUPPORTED_PROTOCOL' });

    using halting = await RawClient.connect(encrypted);
    halting.send('16 03 01 02 00 01');
    await halting.gone();
    await far.record({ end: 'timeout:greeting' });

    await fails({ ...far, ...plain }, 1);
    await far.record({ end: 'upstream:dial:ETIMEDOUT' });
  });

  test('behind a balancer the PROXY header comes first', async () => {
    await using far = await startFar([[tls(server), 'proxy-protocol: { from: [127.0.0.1] }']]);
    const socket = connectTcp(far.port, far.host);
    socket.write('PROXY TCP4 203.0.113.7 127.0.0.1 4711 1080\r\n');
    const client = connect({ socket, servername: 'far.test', ca: await readFile(ca.cert) });
    client.write(Buffer.from([5, 1, 0]));
    const [answer] = (await once(client, 'data')) as [Buffer];
    assert.deepEqual([...answer], [5, 0]);
    client.destroy();
    await far.record({ client: '203.0.113.7:4711', method: 'none' });
  });

  test('64 MiB each way, each direction ended separately', async () => {
    await using far = await startFar([[tls(server)]]);
    await using near = await startNear([
      { for: all, url: `socks5h+tls://127.0.0.1:${far.port}`, tls: `ca: ${ca.cert}` },
    ]);
    const chunk = randomBytes(MIB);
    const whole = createHash('sha256');
    for (let i = 0; i < 64; i++) whole.update(chunk);
    const digest = whole.digest('hex');
    const send = async (socket: Socket): Promise<void> => {
      for (let i = 0; i < 64; i++) if (!socket.write(chunk)) await once(socket, 'drain');
      socket.end();
    };
    const atTarget = Promise.withResolvers<string>();
    const answer = async (socket: Socket): Promise<void> => {
      // It starts after the end of the other direction.
      atTarget.resolve(await digestOf(socket));
      await send(socket);
    };
    await using target = await startTarget((socket) => void answer(socket));
    using client = await connectThrough(near, target);
    const { socket } = client;
    socket.removeAllListeners('data');
    const back = digestOf(socket);
    await send(socket);
    assert.equal(await atTarget.promise, digest);
    assert.equal(await back, digest);
    await far.record({ sent: 64 * MIB, received: 64 * MIB, end: 'client:relay' });
  });

  test('the reset of a target reaches the client through the link', async () => {
    await using reset = await startTarget((socket) => void setTimeout(() => socket.resetAndDestroy(), 200));
    await using far = await startFar([[tls(server)]]);
    await using near = await startNear([
      { for: all, url: `socks5h+tls://127.0.0.1:${far.port}`, tls: `ca: ${ca.cert}` },
    ]);
    using client = await connectThrough(near, reset);
    await assert.rejects(client.rest(), /ECONNRESET/);
    await far.record({ end: 'target:relay:ECONNRESET' });
    await near.record({ end: 'target:relay:ECONNRESET' });
  });

  test('chains: one of two links encrypted, and both', async () => {
    await using far = await startFar([[certified()]]);
    await using middle = await startFar([[], [tls(server)]]);
    await using near = await startGarter({
      config: `${OPEN}
routes: [{ to: [127.0.1.1], via: one }, { to: [any], via: both }]
upstreams:
  far: { url: "socks5h+tls://127.0.0.1:${far.port}", tls: { ${shows(alice)} } }
  encrypted: { url: "socks5h+tls://127.0.0.1:${middle.ports[1]}", tls: { ca: ${ca.cert} } }
  one: { chain: ["socks5h://127.0.0.1:${middle.ports[0]}", far] }
  both: { chain: [encrypted, far] }`,
    });
    await using other = await startEcho('127.0.1.1');
    await works(near, other);
    await works(near, echo);
    await far.record({ destination: `127.0.1.1:${other.port}`, user: 'alice', end: 'client:relay' });
    await far.record({ destination: `127.0.0.1:${echo.port}`, user: 'alice', end: 'client:relay' });
  });

  test('a listener resumes sessions, in all threads, but not after a reload', async () => {
    await using far = await startFar([[tls(server)]]);
    const options = { ...far, servername: 'far.test', ca: await readFile(ca.cert) };
    const first = connect(options);
    const [session] = (await once(first, 'session')) as [Buffer];
    assert.equal(first.isSessionReused(), false);
    first.destroy();
    const isReused = async (): Promise<boolean> => {
      const client = connect({ ...options, session });
      await once(client, 'secureConnect');
      const reused = client.isSessionReused();
      client.destroy();
      return reused;
    };
    for (let i = 0; i < 8; i++) assert.equal(await isReused(), true);
    await reload(far);
    assert.equal(await isReused(), false);
  });

  test('links are resumed, but not with another pin', async () => {
    await using far = await startFar([[tls(server)]]);
    /** Bytes that the far end has sent on each link: a full handshake contains its certificate. */
    const sizes: number[] = [];
    await using through = await startTarget((socket) => {
      const link = sizes.push(0) - 1;
      const onward = connectTcp(far.port, far.host);
      onward.on('error', () => socket.destroy());
      onward.on('data', (bytes) => (sizes[link]! += bytes.length));
      socket.pipe(onward).pipe(socket);
    });
    const config = async (pinned: Issued): Promise<string> =>
      routesFor([
        {
          for: all,
          url: `socks5h+tls://127.0.0.1:${through.port}`,
          tls: `ca: ${ca.cert}, pin: "${await pinOf(pinned.cert)}"`,
        },
      ]);
    await using near = await startGarter({ config: `workers: 1\n${await config(server)}` });
    const file = `${near.directory}/garter.yaml`;
    const text = await readFile(file, 'utf8');
    await works(near, echo);
    await works(near, echo);
    await writeFile(file, text.replace(await config(server), await config(alice)));
    await reload(near);
    await fails(near, echo.port);
    await near.record({ end: 'upstream:dial:PIN' });
    await writeFile(file, text);
    await reload(near);
    await works(near, echo);
    await works(near, echo);
    const isFull = sizes.map((size) => size > sizes[1]! + 100);
    assert.deepEqual(isFull, [true, false, true, true, false], `bytes: ${sizes.join(', ')}`);
  });
});
