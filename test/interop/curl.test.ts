import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { startGarter } from '../support/garter.ts';
import { run, type Outcome } from '../support/process.ts';
import { startWebServer } from '../support/targets.ts';
import { far, page, startNetwork, type Network } from './network.ts';

const PROXY_ERROR = 97; // CURLE_PROXY

suite('curl', () => {
  let network: Network;
  before(async () => {
    const rules = `
  - { name: closed, deny: any, to: [any], port: [9] }
  - { name: open, allow: any, to: [any] }`;
    network = await startNetwork({ rules });
  });
  after(() => network[Symbol.asyncDispose]());

  const curl = (scheme: string, url: string): Promise<Outcome> =>
    run([...network.client, 'curl', '-sSv', '-m', '10', '-x', `${scheme}://${network.proxy}`, url]);

  const pages = [
    { scheme: 'socks4', host: far.v4, address: `${far.v4}:80` },
    { scheme: 'socks4a', host: far.name, address: undefined },
    { scheme: 'socks5', host: far.v4, address: `${far.v4}:80` },
    { scheme: 'socks5', host: `[${far.v6}]`, address: `[${far.v6}]:80` },
    { scheme: 'socks5h', host: far.name, address: undefined },
  ];
  for (const { scheme, host, address } of pages) {
    test(`${scheme}: a page from ${host}`, async () => {
      const { code, stdout, stderr } = await curl(scheme, `http://${host}/`);
      assert.equal(code, 0, stderr);
      assert.equal(stdout, page);
      const record = await network.garter.record({
        command: 'connect',
        destination: `${host}:80`,
        rule: 'open',
      });
      // With a name, either family can win.
      if (address !== undefined) assert.equal(record.address, address);
      assert.ok(record.sent > 0 && record.received > page.length, `bytes counted: ${JSON.stringify(record)}`);
    });
  }

  const failures = [
    { scheme: 'socks5', host: `${far.v4}:81`, says: /\(5\)/, end: 'target:dial:ECONNREFUSED' },
    { scheme: 'socks5', host: `${far.v4}:9`, says: /\(2\)/, end: 'policy:request:rule' },
    { scheme: 'socks5', host: '10.99.0.1:80', says: /\(3\)/, end: 'target:dial:ENETUNREACH' },
    { scheme: 'socks5h', host: 'nowhere.far.test:80', says: /\(4\)/, end: 'target:resolve:ENOTFOUND' },
    { scheme: 'socks4', host: `${far.v4}:81`, says: /\(91\)/, end: 'target:dial:ECONNREFUSED' },
    { scheme: 'socks4', host: `${far.v4}:9`, says: /\(91\)/, end: 'policy:request:rule' },
  ];
  for (const { scheme, host, says, end } of failures) {
    test(`${scheme}: ${host} fails with ${says.source}`, async () => {
      const { code, stderr } = await curl(scheme, `http://${host}/`);
      assert.equal(code, PROXY_ERROR, stderr);
      assert.match(stderr, says);
      await network.garter.record({ destination: host, end });
    });
  }
});

suite('curl with a user', () => {
  let network: Network;
  before(async () => {
    network = await startNetwork({ users: { alice: 'right pass' } });
  });
  after(() => network[Symbol.asyncDispose]());

  const curl = (login: string): Promise<Outcome> =>
    run([
      ...network.client,
      'curl',
      '-sS',
      '-x',
      `socks5h://${login}${network.proxy}`,
      `http://${far.name}/`,
    ]);

  test('the right password', async () => {
    const { code, stdout, stderr } = await curl('alice:right%20pass@');
    assert.equal(code, 0, stderr);
    assert.equal(stdout, page);
    await network.garter.record({ user: 'alice', method: 'password', destination: `${far.name}:80` });
  });

  const refusals = [
    { title: 'a wrong password', login: 'alice:wrong%20pass@', end: 'policy:auth:wrong' },
    { title: 'an unknown user', login: 'mallory:right%20pass@', end: 'policy:auth:wrong' },
    { title: 'no password', login: '', end: 'policy:greeting:no-method' },
  ];
  for (const { title, login, end } of refusals) {
    test(title, async () => {
      const { code, stderr } = await curl(login);
      assert.equal(code, PROXY_ERROR, stderr);
      const record = await network.garter.record({ end });
      assert.equal(record.destination, undefined);
    });
  }
});

test('curl to ::1 through a garter on ::1', async () => {
  await using web = await startWebServer('::1');
  await using garter = await startGarter({ host: '::1' });
  const url = `http://[::1]:${web.port}/`;
  const { code, stdout, stderr } = await run(['curl', '-sS', '-x', `socks5h://[::1]:${garter.port}`, url]);
  assert.equal(code, 0, stderr);
  assert.equal(stdout, web.page);
  const record = await garter.record({ address: `[::1]:${web.port}` });
  assert.equal(record.listener, `[::1]:${garter.port}`);
});
