import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { associate, Datagrams, frame } from '../support/datagrams.ts';
import { makeDirectory } from '../support/directory.ts';
import { type Garter, OPEN, startGarter } from '../support/garter.ts';
import { start, until } from '../support/process.ts';
import { Command, connectThrough, RawClient, readAddress, request5 } from '../support/raw.ts';
import { closedPort, startDatagramEcho, startEcho } from '../support/targets.ts';

function near(way: string): Promise<Garter> {
  return startGarter({
    config: `
${OPEN}
routes: [{ to: [any], via: way }]
upstreams: { way: ${way} }`,
  });
}

/** Another program as an upstream, the only one with BIND and UDP. */
suite('danted as an upstream', () => {
  const resources = new AsyncDisposableStack();
  let port: number;
  let far: Garter;
  before(async () => {
    const { path } = resources.use(await makeDirectory());
    port = await closedPort();
    const config = join(path, 'danted.conf');
    const lines = [
      'logoutput: /dev/null',
      `internal: 127.0.0.1 port = ${port}`,
      `internal: ::1 port = ${port}`,
      'external: 127.0.0.1',
      'external: ::1',
      'clientmethod: none',
      'socksmethod: none',
      'user.privileged: root',
      'user.unprivileged: root',
      'client pass { from: 0/0 to: 0/0 }',
      'socks pass { from: 0/0 to: 0/0 }',
    ];
    await writeFile(config, lines.map((line) => `${line}\n`).join(''));
    const command = ['danted', '-f', config, '-p', join(path, 'danted.pid')];
    resources.use(await start(command, { ready: /(?:)/ }));
    const isUp = async (): Promise<true | undefined> => {
      try {
        using client = await RawClient.connect({ host: '127.0.0.1', port });
        return client.localPort > 0 || undefined;
      } catch {
        return undefined;
      }
    };
    await until(isUp, () => 'danted does not listen');
    far = resources.use(await startGarter({ config: OPEN }));
  });
  after(() => resources.disposeAsync());

  const ways = (): Readonly<Record<string, string>> => {
    const dante = `"socks5h://127.0.0.1:${port}"`;
    const garter = `"socks5h://127.0.0.1:${far.port}"`;
    return {
      alone: dante,
      'over IPv6': `"socks5h://[::1]:${port}"`,
      'in front of garter': `{ chain: [${dante}, ${garter}] }`,
      'behind garter': `{ chain: [${garter}, ${dante}] }`,
    };
  };

  for (const place of ['alone', 'over IPv6', 'in front of garter', 'behind garter']) {
    test(`CONNECT, ${place}`, async () => {
      await using echo = await startEcho();
      await using garter = await near(ways()[place]!);
      using client = await connectThrough(garter, echo);
      client.send(Buffer.from('there and back'));
      await client.expect(Buffer.from('there and back'));
    });

    test(`UDP, ${place}`, async () => {
      await using echo = await startDatagramEcho();
      using client = await Datagrams.bind('127.0.0.1');
      await using garter = await near(ways()[place]!);
      using association = await associate(garter);
      for (const data of ['one', 'two', 'three']) {
        await client.send(frame(echo, data), association.relay);
        assert.deepEqual((await client.receive()).data, frame(echo, data));
      }
    });

    test(`BIND, ${place}`, async () => {
      await using garter = await near(ways()[place]!);
      using client = await RawClient.connect(garter);
      client.send('05 01 00', request5(Command.bind, '127.0.0.1', 0));
      await client.expect('05 00  05 00 00');
      using peer = await RawClient.connect(await readAddress(client));
      await client.expect('05 00 00');
      assert.deepEqual(await readAddress(client), { host: '127.0.0.1', port: peer.localPort });
      client.send(Buffer.from('out'));
      await peer.expect(Buffer.from('out'));
      peer.send(Buffer.from('back'));
      await client.expect(Buffer.from('back'));
    });
  }
});
