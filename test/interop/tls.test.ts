import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { Authority, type Issued } from '../support/authority.ts';
import { makeDirectory } from '../support/directory.ts';
import { type Garter, OPEN, startGarter } from '../support/garter.ts';
import { run, type Outcome } from '../support/process.ts';
import { startWebServer } from '../support/targets.ts';

/** curl and openssl as clients of a TLS listener, and through a link between two garters. */
suite('TLS', () => {
  const resources = new AsyncDisposableStack();
  let ca: Authority;
  let strangers: Authority;
  let alice: Issued;
  let web: Awaited<ReturnType<typeof startWebServer>>;
  let open: Garter;
  let certified: Garter;
  before(async () => {
    const directory = resources.use(await makeDirectory()).path;
    ca = await Authority.make(directory, 'ca');
    strangers = await Authority.make(directory, 'strangers');
    const { cert, key } = await ca.issue('server', { names: 'IP:127.0.0.1' });
    alice = await ca.issue('alice');
    web = resources.use(await startWebServer());
    const start = (more: string): Promise<Garter> =>
      startGarter({
        listener: [`tls: { cert: ${cert}, key: ${key}${more} }`, 'protocols: [socks5, http]'],
        config: 'rules: [{ name: all, allow: any, to: [loopback] }]',
      });
    open = resources.use(await start(''));
    certified = resources.use(await start(`, client-ca: ${ca.cert}`));
  });
  after(() => resources.disposeAsync());

  const curl = (...options: readonly string[]): Promise<Outcome> =>
    run(['curl', '-sS', '-m', '10', '--noproxy', '', ...options, `http://127.0.0.1:${web.port}/`]);
  const throughHttps = (garter: Garter, ...options: readonly string[]): Promise<Outcome> =>
    // In a tunnel, as curl would send plain HTTP to the proxy directly.
    curl('-p', '-x', `https://127.0.0.1:${garter.port}`, ...options);

  test('curl: HTTP CONNECT over TLS', async () => {
    const { stdout, stderr } = await throughHttps(open, '--proxy-cacert', ca.cert);
    assert.equal(stdout, web.page, stderr);
    await open.record({ command: 'connect', method: 'none', end: 'client:relay' });
  });

  test('curl: the same with a client certificate', async () => {
    const shown = ['--proxy-cert', alice.cert, '--proxy-key', alice.key];
    const { stdout, stderr } = await throughHttps(certified, '--proxy-cacert', ca.cert, ...shown);
    assert.equal(stdout, web.page, stderr);
    await certified.record({ user: 'alice', method: 'certificate', end: 'client:relay' });
  });

  test('curl: socks5h through a link between two garters', async () => {
    await using near = await startGarter({
      config: `
${OPEN}
routes: [{ to: [any], via: far }]
upstreams:
  far: { url: "socks5h+tls://127.0.0.1:${certified.port}", tls: { ca: ${ca.cert}, cert: ${alice.cert}, key: ${alice.key} } }`,
    });
    const { stdout, stderr } = await curl('-x', `socks5h://127.0.0.1:${near.port}`);
    assert.equal(stdout, web.page, stderr);
    await near.record({ route: 'far', end: 'client:relay' });
    await certified.record({ user: 'alice', end: 'client:relay' });
  });

  test('curl: the reason why it rejects the certificate is in the record', async () => {
    const { stderr } = await throughHttps(open, '--proxy-cacert', strangers.cert);
    assert.match(stderr, /unable to get local issuer certificate/);
    await open.record({ end: 'client:greeting:alert-unknown-ca' });
  });

  test('curl: without a certificate where one is required', async () => {
    const { stderr } = await throughHttps(certified, '--proxy-cacert', ca.cert);
    assert.match(stderr, /alert certificate required/);
    await certified.record({ end: 'client:greeting:ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE' });
  });

  const openssl = (garter: Garter, ...options: readonly string[]): Promise<Outcome> =>
    run(['openssl', 's_client', '-connect', `127.0.0.1:${garter.port}`, '-CAfile', ca.cert, ...options]);

  test('openssl: TLS 1.3, a protocol chosen by ALPN, and no early data', async () => {
    const { stdout } = await openssl(open, '-alpn', 'socks');
    assert.match(stdout, /Verify return code: 0 \(ok\)/);
    assert.match(stdout, /TLSv1\.3/);
    assert.match(stdout, /ALPN protocol: socks/);
    assert.match(stdout, /Early data was not sent/);
    assert.doesNotMatch(stdout, /Max Early Data: [1-9]/);
  });

  test('openssl: another protocol is refused', async () => {
    const { stderr } = await openssl(open, '-alpn', 'h2');
    assert.match(stderr, /alert no application protocol/);
    await open.record({ end: 'client:greeting:ERR_SSL_NO_APPLICATION_PROTOCOL' });
  });
});
