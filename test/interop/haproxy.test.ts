import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { makeDirectory } from '../support/directory.ts';
import { startGarter } from '../support/garter.ts';
import { check, start, until } from '../support/process.ts';
import { closedPort, startWebServer } from '../support/targets.ts';

suite('behind HAProxy', () => {
  for (const version of ['send-proxy', 'send-proxy-v2']) {
    test(`${version}: garter sees the client's address, and HAProxy sees that garter is healthy`, async () => {
      await using web = await startWebServer();
      await using garter = await startGarter({
        listener: ['proxy-protocol: { from: [127.0.0.5] }'],
        config: 'health: 127.0.0.1:0\nrules: [{ allow: any, from: [127.0.0.9], to: [loopback] }]',
      });
      const [, health] = /readyz on \S+:(\d+)/.exec(garter.process.stdout()) ?? [];
      await using directory = await makeDirectory();
      const config = join(directory.path, 'haproxy.cfg');
      const port = await closedPort();
      await writeFile(
        config,
        `global
  log stdout format raw daemon
defaults
  mode tcp
  timeout connect 5s
  timeout client 30s
  timeout server 30s
listen socks
  bind 127.0.0.1:${port}
  option httpchk GET /readyz
  server garter ${garter.host}:${garter.port} source 127.0.0.5 ${version} check port ${health} inter 500ms fall 3 rise 1
`,
      );
      await using haproxy = await start(['haproxy', '-d', '-f', config], {
        ready: /polling mechanism/,
      });
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
