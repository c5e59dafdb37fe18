import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { Resolver, type Machine } from '../../src/resolve/resolver.ts';
import { formatIp, parseIp } from '../../src/wire/ip.ts';
import { makeDirectory } from '../support/directory.ts';
import { startDnsmasq } from './dnsmasq.ts';

/** A loopback address that only this run uses, so that port 53 is free. */
const host = `127.53.${(process.pid >>> 8) & 255}.${process.pid & 255}`;

const many = Array.from({ length: 200 }, (_, i) => `10.9.0.${i + 1}`);

suite('dnsmasq', () => {
  const stack = new AsyncDisposableStack();
  let machine: Machine;
  before(async () => {
    const directory = stack.use(await makeDirectory()).path;
    const [resolvConf, hostsFile, served] = ['resolv.conf', 'hosts', 'served'].map((name) =>
      join(directory, name),
    );
    await writeFile(resolvConf!, `nameserver ${host}\nsearch far.test\n`);
    await writeFile(hostsFile!, '127.0.0.1 localhost\n');
    await writeFile(served!, many.map((address) => `${address} many.far.test\n`).join(''));
    machine = { resolvConf: resolvConf!, hostsFile: hostsFile!, sourceFor: (address) => address };
    const options = [
      `--addn-hosts=${served}`,
      '--bind-interfaces',
      `--listen-address=${host}`,
      '--local=/far.test/',
      '--host-record=www.far.test,10.77.2.2,fd77:2::2,60',
      '--cname=alias.far.test,www.far.test,30',
    ];
    stack.use(await startDnsmasq(options));
  });
  after(() => stack.disposeAsync());

  /** Resolves with a new resolver, by the servers of resolv.conf. */
  async function resolve(name: string): Promise<string[]> {
    using resolver = new Resolver({ family: 'any', timeout: 20_000 }, machine);
    return (await resolver.resolve(name)).map(formatIp);
  }

  test('both families', async () => {
    // IPv4 first: fd00::/7 has a lower precedence (RFC 6724 section 2.1).
    assert.deepEqual(await resolve('www.far.test'), ['10.77.2.2', 'fd77:2::2']);
  });

  test('an alias', async () => {
    assert.deepEqual(await resolve('Alias.far.test'), ['10.77.2.2', 'fd77:2::2']);
  });

  test('the search list is not applied to a name without a dot', async () => {
    for (const name of ['www', 'www.']) await assert.rejects(resolve(name), { code: 'ESERVFAIL' });
  });

  test('more addresses than fit into a datagram', async () => {
    const addresses = await resolve('many.far.test');
    assert.equal(addresses.length, 32);
    for (const address of addresses) assert.ok(many.includes(address), address);
  });

  test('no such name', async () => {
    await assert.rejects(resolve('nowhere.far.test'), { name: 'ResolveError', code: 'ENOTFOUND' });
  });

  test('a name that the name server refuses to resolve', async () => {
    await assert.rejects(resolve('www.elsewhere.test'), { code: 'ESERVFAIL', message: /RCODE 5/ });
  });

  test('the name of an address', async () => {
    using resolver = new Resolver({ family: 'any', timeout: 20_000 }, machine);
    for (const literal of ['10.77.2.2', 'fd77:2::2']) {
      assert.equal(await resolver.reverse(parseIp(literal)!), 'www.far.test');
    }
  });
});
