import assert from 'node:assert/strict';
import { chmod, copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { Authority, type Issued } from '../../../test/support/authority.ts';
import { makeDirectory } from '../../../test/support/directory.ts';
import { check } from '../../../test/support/process.ts';
import type { Loaded } from '../load.ts';
import { parseConfig } from '../load.ts';

suite('the files of tls', () => {
  const resources = new AsyncDisposableStack();
  let directory: string;
  let ca: Authority;
  let server: Issued;

  before(async () => {
    directory = resources.use(await makeDirectory()).path;
    ca = await Authority.make(directory, 'ca');
    server = await ca.issue('server', { names: 'DNS:proxy.example.org' });
    await ca.issue('other');
    await writeFile(join(directory, 'nothing.pem'), 'nothing\n', { mode: 0o600 });
    await writeFile(
      join(directory, 'broken.pem'),
      '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
    );
    await copyFile(server.key, join(directory, 'open.key'));
    await chmod(join(directory, 'open.key'), 0o644);
    const locked = join(directory, 'locked.key');
    await check([
      'openssl',
      'pkey',
      '-in',
      server.key,
      '-aes256',
      '-passout',
      'pass:hunter2',
      '-out',
      locked,
    ]);
    await chmod(locked, 0o600);
    await ca.issue('old', { names: 'DNS:old', from: '20200101000000Z', until: '20200201000000Z' });
    await ca.issue('new', { names: 'DNS:new', from: '20980101000000Z' });
  });
  after(() => resources.disposeAsync());

  const parse = (config: string): Loaded => parseConfig(config, join(directory, 'garter.yaml'), {}, {});
  const listener = (tls: string): Loaded => parse(`listen: [{ address: 127.0.0.1:0, tls: { ${tls} } }]`);

  const errorsOf = (methods: string): number =>
    parse(
      `listen: [{ address: 192.0.2.1:1080, ${methods}tls: { cert: server.pem, key: server.key, client-ca: ca.pem } }]`,
    ).errors.length;

  test('valid files are loaded as text', () => {
    const { settings } = listener('cert: server.pem, key: server.key, client-ca: ca.pem');
    const [made] = settings!.listeners;
    assert.match(made!.tls!.cert, /^-----BEGIN CERTIFICATE-----/);
    assert.match(made!.tls!.key, /^-----BEGIN PRIVATE KEY-----/);
    assert.match(made!.tls!.clientCa!, /^-----BEGIN CERTIFICATE-----/);
    assert.equal(made!.tls!.ticketKeys.length, 48);
    assert.deepEqual(made!.methods, ['certificate']);
  });

  const faults = [
    { tls: 'cert: no.pem, key: server.key', at: 'no.pem', says: /^no\.pem cannot be read \(ENOENT\)$/ },
    { tls: 'cert: nothing.pem, key: server.key', at: 'nothing.pem', says: /^there is no certificate in/ },
    {
      tls: 'cert: server.key, key: server.pem',
      at: 'server.key',
      says: /^server\.key contains a private key, not a certificate$/,
    },
    { tls: 'cert: broken.pem, key: server.key', at: 'broken.pem', says: /^a certificate in .* is broken/ },
    { tls: 'cert: server.pem, key: no.key', at: 'no.key', says: /cannot be read \(ENOENT\)$/ },
    { tls: 'cert: server.pem, key: nothing.pem', at: 'nothing.pem', says: /^there is no private key in/ },
    {
      tls: 'cert: server.pem, key: locked.key',
      at: 'locked.key',
      says: /^the key in locked\.key is encrypted/,
    },
    { tls: 'cert: server.pem, key: open.key', at: 'open.key', says: /^others can read or write/ },
    {
      tls: 'cert: server.pem, key: other.key',
      at: 'other.key',
      says: /^other\.key is not the key of server\.pem/,
    },
    {
      tls: 'cert: server.pem, key: server.key, client-ca: nothing.pem',
      at: 'nothing.pem',
      says: /^there is no certificate in nothing\.pem/,
    },
  ];
  test('a fault is not followed by one about what it hides', () => {
    const open = 'address: 192.0.2.1:1080, methods: [none]';
    const rest = 'rules: [{ allow: any, to: any, method: certificate, user: alice }]';
    for (const [tls, says] of [
      ['cert: no.pem, key: server.key, client-ca: ca.pem', 'no.pem cannot be read (ENOENT)'],
      ['cert: server.pem, key: server.key, client-ca: no.pem', 'no.pem cannot be read (ENOENT)'],
      ['certificate: server.pem, key: server.key', 'there is no key "certificate" here'],
      ['cert: server.pem, key-file: server.key', 'there is no key "key-file" here'],
    ]) {
      const { errors, warnings } = parse(`listen: [{ ${open}, tls: { ${tls} } }]\n${rest}\n`);
      assert.deepEqual(
        [...errors, ...warnings].map(({ message }) => message),
        [says],
      );
    }
  });

  for (const { tls, at, says } of faults) {
    test(`${tls}: reported with its position`, () => {
      const { errors, settings } = listener(tls);
      assert.equal(settings, undefined);
      assert.equal(errors.length, 1, JSON.stringify(errors));
      const [{ message, line, excerpt }] = errors as [(typeof errors)[0]];
      assert.match(message, says);
      assert.equal(line, 1);
      const [text = '', carets = ''] = excerpt!.split('\n');
      assert.equal(text.slice(carets.indexOf('^'), carets.lastIndexOf('^') + 1), at);
    });
  }

  for (const [name, says] of [
    [
      'other',
      'the certificate in other.pem has no subjectAltName, and clients ignore the common name: they refuse it',
    ],
    ['old', 'the certificate in old.pem has expired'],
    ['new', 'the certificate in new.pem is not valid yet'],
  ] as const) {
    test(`${name}: a warning`, () => {
      const { warnings, settings } = listener(`cert: ${name}.pem, key: ${name}.key`);
      assert.notEqual(settings, undefined);
      assert.deepEqual(
        warnings.map(({ message }) => message),
        [says],
      );
    });
  }

  test('a listener that requires certificates can be exposed to other machines', () => {
    assert.equal(errorsOf(''), 0);
    assert.equal(errorsOf('methods: [none], '), 0);
    assert.equal(errorsOf('methods: [certificate, none], '), 1);
  });
});
