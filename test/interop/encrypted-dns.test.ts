import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { Resolver } from '../../src/resolve/resolver.ts';
import { formatIp } from '../../src/wire/ip.ts';
import { cert, key } from '../support/certificate.ts';
import { makeDirectory } from '../support/directory.ts';
import { start } from '../support/process.ts';

/** A loopback address that only this run uses, so that the ports are free. */
const host = `127.55.${(process.pid >>> 8) & 255}.${process.pid & 255}`;
const NAME = '_socks5._tcp.far.test';

suite('unbound', () => {
  const stack = new AsyncDisposableStack();
  before(async () => {
    const directory = stack.use(await makeDirectory()).path;
    const [certFile, keyFile, config] = ['cert.pem', 'key.pem', 'unbound.conf'].map((name) =>
      join(directory, name),
    );
    await writeFile(certFile!, cert);
    await writeFile(keyFile!, key);
    const text = `
server:
  username: ""
  chroot: ""
  directory: "${directory}"
  pidfile: ""
  use-syslog: no
  verbosity: 1
  interface: ${host}@853
  interface: ${host}@443
  tls-port: 853
  https-port: 443
  tls-service-pem: "${certFile}"
  tls-service-key: "${keyFile}"
  access-control: 127.0.0.0/8 allow
  local-zone: "far.test." static
  local-data: "www.far.test. 60 IN A 10.77.2.2"
  local-data: "${NAME}. 60 IN SRV 10 60 1080 p1.far.test."
remote-control:
  control-enable: no
`;
    await writeFile(config!, text);
    stack.use(await start(['unbound', '-d', '-p', '-c', config!], { ready: /start of service/ }));
  });
  after(() => stack.disposeAsync());

  for (const [what, port, encrypted] of [
    ['TLS', 853, { name: 'localhost' }],
    ['HTTPS', 443, { name: 'localhost', path: '/dns-query' }],
  ] as const) {
    test(`DNS over ${what}: addresses, services, missing names, and many at once`, async () => {
      const options = { servers: [{ host, port, encrypted }], family: 'ipv4', timeout: 10_000 } as const;
      using resolver = new Resolver(options, { ca: [cert] });
      assert.deepEqual((await resolver.resolve('www.far.test')).map(formatIp), ['10.77.2.2']);
      const services = [{ target: 'p1.far.test', port: 1080, priority: 10, weight: 60 }];
      assert.deepEqual(await resolver.services(NAME), { services, ttl: 60_000 });
      const names = Array.from({ length: 200 }, (_, i) => `n${i}.far.test`);
      const ask = (name: string): Promise<void> =>
        assert.rejects(resolver.resolve(name), { code: 'ENOTFOUND' });
      await Promise.all(names.map(ask));
    });
  }
});
