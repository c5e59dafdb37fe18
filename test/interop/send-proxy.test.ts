import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { makeDirectory } from '../support/directory.ts';
import { OPEN, startGarter } from '../support/garter.ts';
import { check, start } from '../support/process.ts';
import { closedPort } from '../support/targets.ts';

suite('HAProxy reads the PROXY header of a route', () => {
  for (const version of ['v1', 'v2']) {
    test(`${version}: it sees the client and the listener`, async () => {
      await using directory = await makeDirectory();
      const config = join(directory.path, 'haproxy.cfg');
      const port = await closedPort();
      await writeFile(
        config,
        `global
  log stdout format raw daemon
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
listen web
  bind 127.0.0.1:${port} accept-proxy
  http-request return status 200 content-type text/plain lf-string "%[src] %[dst]:%[dst_port]"
`,
      );
      await using _ = await start(['haproxy', '-d', '-f', config], { ready: /polling mechanism/ });
      await using garter = await startGarter({
        config: `${OPEN}\nroutes: [{ to: [any], via: direct, send-proxy: ${version} }]`,
      });
      const url = `http://127.0.0.1:${port}/`;
      const proxy = `socks5h://127.0.0.1:${garter.port}`;
      const seen = await check(['curl', '-sS', '--interface', '127.0.0.9', '-x', proxy, url]);
      assert.equal(seen, `127.0.0.9 127.0.0.1:${garter.port}`);
    });
  }
});
