import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { startGarter } from '../support/garter.ts';
import { check, until } from '../support/process.ts';
import { closedPort, startWebServer } from '../support/targets.ts';
import { startHaproxy } from './haproxy.ts';

suite('behind HAProxy', () => {
  for (const version of ['send-proxy', 'send-proxy-v2']) {
    test(`${version}: garter sees the client's address, and HAProxy sees that garter is healthy`, async () => {
      await using web = await startWebServer();
      await using garter = await startGarter({
        listener: ['proxy-protocol: { from: [127.0.0.5] }'],
        config: 'health: 127.0.0.1:0\nrules: [{ allow: any, from: [127.0.0.9], to: [loopback] }]',
      });
      const [, health] = /readyz on \S+:(\d+)/.exec(garter.process.stdout()) ?? [];
      const port = await closedPort();
      await using haproxy = await startHaproxy(
        'tcp',
        `listen socks
  bind 127.0.0.1:${port}
  option httpchk GET /readyz
  server garter ${garter.host}:${garter.port} source 127.0.0.5 ${version} check port ${health} inter 500ms fall 3 rise 1`,
      );
      const curl = [
        'curl',
        '-sS',
        '--interface',
        '127.0.0.9',
        '-x',
        `socks5h://127.0.0.1:${port}`,
        `http://127.0.0.1:${web.port}/`,
      ];
      assert.equal(await check(curl), web.page);
      const { client } = await garter.record({ destination: `127.0.0.1:${web.port}` });
      assert.match(client, /^127\.0\.0\.9:/);
      garter.process.signal('SIGTERM');
      await until(
        () => /Server socks\/garter is DOWN/.test(haproxy.stdout() + haproxy.stderr()),
        () => haproxy.stdout() + haproxy.stderr(),
      );
    });
  }
});
