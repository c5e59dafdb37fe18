import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { OPEN, startGarter } from '../support/garter.ts';
import { check } from '../support/process.ts';
import { closedPort } from '../support/targets.ts';
import { startHaproxy } from './haproxy.ts';

suite('HAProxy reads the PROXY header of a route', () => {
  for (const version of ['v1', 'v2']) {
    test(`${version}: it sees the client and the listener`, async () => {
      const port = await closedPort();
      await using _ = await startHaproxy(
        'http',
        `listen web
  bind 127.0.0.1:${port} accept-proxy
  http-request return status 200 content-type text/plain lf-string "%[src] %[dst]:%[dst_port]"`,
      );
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
