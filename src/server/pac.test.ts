import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { createContext, runInContext } from 'node:vm';
import type { RouteOptions, UpstreamOptions } from '../route/options.ts';
import type { HttpRequest } from '../wire/http.ts';
import { answerPac, pacFile } from './pac.ts';

const PROXY = { host: '127.0.0.1', port: 1080 };
const GARTER = 'SOCKS5 127.0.0.1:1080';

const SERVER: UpstreamOptions = {
  type: 'server',
  label: 'socks5h://10.0.3.1:1080',
  protocol: 'socks5',
  passesNames: true,
  at: { host: '10.0.3.1', port: 1080 },
};
const direct = (to: readonly string[], more: Partial<RouteOptions> = {}): RouteOptions => ({
  name: 'direct',
  label: 'direct',
  to,
  via: 'direct',
  resolvesHere: false,
  ...more,
});
const through = (to: readonly string[], more: Partial<RouteOptions> = {}): RouteOptions =>
  direct(to, { via: SERVER, ...more });

/** A literal as a number. */
function quad(text: string): number {
  assert.match(text, /^\d+(\.\d+){3}$/, `${text} would be resolved`);
  return text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}

/** Evaluates the file as a browser does; none of the provided functions may resolve a name. */
function ask(file: string, host: string): string {
  const context = createContext({
    dnsDomainIs: (name: string, domain: string) => name.endsWith(domain),
    isInNet: (name: string, network: string, mask: string) =>
      ((quad(name) ^ quad(network)) & quad(mask)) === 0,
  });
  runInContext(file, context);
  return String(
    runInContext(`FindProxyForURL(${JSON.stringify(`https://${host}/`)}, ${JSON.stringify(host)})`, context),
  );
}

const rows: readonly {
  readonly name: string;
  readonly routes: readonly RouteOptions[];
  readonly direct: readonly string[];
  readonly proxied: readonly string[];
}[] = [
  {
    name: 'without routes: only this machine',
    routes: [],
    direct: ['localhost', 'LOCALHOST.', 'a.localhost', '127.0.0.1', '127.8.9.1', '::1', '[::1]'],
    proxied: [
      'intranet',
      'www.example.com',
      '10.0.0.1',
      '126.0.0.1',
      '128.0.0.1',
      '::2',
      '2001:db8::1',
      'a.b',
      '1.2.3.4.',
    ],
  },
  {
    name: 'names and suffixes',
    routes: [direct(['www.example.com', '.corp.example']), through(['any'])],
    direct: ['www.example.com', 'WWW.Example.Com.', 'corp.example', 'a.b.corp.example'],
    proxied: ['a.www.example.com', 'example.com', 'xcorp.example', 'corp.example.org'],
  },
  {
    name: 'names without a dot are ordinary names',
    routes: [through(['wiki']), direct(['intranet', '.local']), through(['any'])],
    direct: ['intranet', 'local'],
    proxied: ['wiki', 'printer'],
  },
  {
    name: 'networks, for literals only',
    routes: [
      direct(['10.0.0.0/8', '192.0.2.7', '100.64.0.0/10', 'fd00::/8', '2001:db8:0:8000::/49']),
      through(['any']),
    ],
    direct: ['10.255.0.1', '192.0.2.7', '100.127.0.1', 'fd12::1', '2001:db8:0:8001::5', '2001:db8:0:ffff::'],
    proxied: [
      '11.0.0.1',
      '192.0.2.8',
      '100.128.0.1',
      'fe00::1',
      '2001:db8::5',
      '2001:db8:1:8000::',
      '10.example.com',
    ],
  },
  {
    name: 'sets',
    routes: [direct(['private', 'link-local']), through(['any'])],
    direct: ['192.168.1.1', '172.31.0.1', '169.254.1.1', 'fe80::1', 'fc00::1'],
    proxied: ['172.32.0.1', '8.8.8.8', '2001:db8::1'],
  },
  {
    name: 'reserved ranges are left to garter',
    routes: [direct(['reserved', '.example'])],
    direct: ['a.example'],
    proxied: ['192.0.2.1', '0.0.0.1', '0.0.0.0', '2001:db8::1'],
  },
  {
    name: 'nothing bypasses garter',
    routes: [through(['reserved']), direct(['::/0'])],
    direct: [],
    proxied: ['2001:db8::1', 'fec0::1'],
  },
  {
    name: 'sets that cannot be listed',
    routes: [direct(['public', 'self', 'any'])],
    direct: ['localhost'],
    proxied: ['8.8.8.8', '10.0.0.1', 'www.example.com'],
  },
  {
    name: 'an IPv4 address inside an IPv6 one is judged by garter',
    routes: [through(['10.0.0.0/8']), direct(['::/0'])],
    direct: ['2001:db8::1', '64:ff9c::1'],
    proxied: ['::ffff:a00:1', '64:ff9b::a00:1', '2002:a00:1::'],
  },
  {
    name: 'the first match counts',
    routes: [through(['secret.corp.example']), direct(['.corp.example']), through(['any'])],
    direct: ['corp.example', 'a.corp.example'],
    proxied: ['secret.corp.example'],
  },
  {
    name: 'nothing after a route for all',
    routes: [
      direct(['a.example']),
      through(['any'], { port: [{ first: 80, last: 80 }] }),
      direct(['b.example']),
    ],
    direct: ['a.example'],
    proxied: ['b.example'],
  },
  {
    name: 'a name may resolve to an address of an earlier route; an address cannot',
    routes: [through(['10.0.0.0/8']), direct(['.corp.example', '192.0.2.0/24', '10.0.0.0/7'])],
    direct: ['192.0.2.1', '11.0.0.1'],
    proxied: ['a.corp.example', '10.0.0.1'],
  },
  {
    name: 'destinations that only garter can decide on use garter',
    routes: [
      direct(['a.example'], { user: ['alice'] }),
      direct(['b.example'], { port: [{ first: 443, last: 443 }] }),
      direct(['c.example'], { egress: { addresses: ['192.0.2.1'], rotate: 'none' } }),
      direct(['d.example'], { dns: [{ host: '192.0.2.53', port: 53 }] }),
      direct(['.example']),
    ],
    direct: ['e.example', 'a.example', 'b.example'],
    proxied: ['c.example', 'd.example'],
  },
  {
    name: 'routes for other commands have no effect',
    routes: [through(['any'], { commands: ['udp'] }), direct(['.example'], { commands: ['connect'] })],
    direct: ['a.example'],
    proxied: ['a.example.com'],
  },
];

suite('proxy.pac', () => {
  for (const { name, routes, direct: past, proxied } of rows) {
    test(name, () => {
      const file = pacFile(routes, PROXY);
      for (const host of past) assert.equal(ask(file, host), 'DIRECT', host);
      for (const host of proxied) assert.equal(ask(file, host), GARTER, host);
    });
  }

  test('addresses behind NAT64 are judged by garter too', () => {
    const routes = [through(['10.0.0.0/8']), direct(['::/0'])];
    const file = pacFile(routes, PROXY, ['64:ff9b:1::/48', '2001:db8:64::/96']);
    for (const host of ['64:ff9b:1:a00:0:100::', '2001:db8:64::a00:1'])
      assert.equal(ask(file, host), GARTER, host);
    assert.equal(ask(file, '2001:db8:65::a00:1'), 'DIRECT');
  });

  test('the address may be IPv6', () => {
    const at = ask(pacFile([], { host: '::1', port: 1081 }), 'www.example.com');
    assert.equal(at, 'SOCKS5 [::1]:1081');
  });
});

function request(line: string, host: string | undefined): HttpRequest {
  const [method = '', target = ''] = line.split(' ');
  return { method, target, headers: new Map(host === undefined ? [] : [['host', host]]) };
}

function answer(line: string, host: string | undefined, client = '127.0.0.1'): string | undefined {
  const bytes = answerPac(request(line, host), client, PROXY, { options: undefined, nat64: [] });
  return bytes && Buffer.from(bytes).toString();
}

suite('requests for proxy.pac', () => {
  for (const host of ['localhost', 'LocalHost:1080', '127.0.0.1', '127.1.2.3:1080', '[::1]:1080']) {
    test(`Host: ${host} gets it`, () => {
      const [head = '', body = ''] = answer('GET /proxy.pac', host)?.split('\r\n\r\n') ?? [];
      assert.match(head, /^HTTP\/1\.1 200 OK\r\nContent-Type: application\/x-ns-proxy-autoconfig\r\n/);
      assert.match(head, new RegExp(`\r\nContent-Length: ${body.length}\r\n`));
      assert.match(head, /\r\nConnection: close$/);
      assert.equal(body, pacFile([], PROXY));
    });
  }

  for (const host of [
    undefined,
    '',
    'evil.example',
    'localhost.evil.example',
    'evil.localhost',
    '127.0.0.1.evil.example',
    '127.1',
    '10.0.0.1:1080',
    'localhost, evil.example',
    'localhost:x',
  ]) {
    test(`Host: ${host ?? 'none'} does not get it`, () =>
      assert.equal(answer('GET /proxy.pac', host), undefined));
  }

  test('the requests that get it, and their sources', () => {
    for (const line of ['GET /wpad.dat', 'GET /proxy.pac?1']) assert.ok(answer(line, 'localhost'), line);
    for (const line of ['GET /', 'GET /proxy.pac/', 'POST /proxy.pac', 'GET http://localhost/proxy.pac'])
      assert.equal(answer(line, 'localhost'), undefined, line);
    assert.match(answer('HEAD /proxy.pac', 'localhost')!, /\r\nContent-Length: [1-9]\d+\r\n[^]*\r\n\r\n$/);
    assert.ok(answer('GET /proxy.pac', '[::1]', '::1'));
    for (const client of ['10.0.0.1', '::ffff:10.0.0.1', 'fe80::1'])
      assert.equal(answer('GET /proxy.pac', 'localhost', client), undefined, client);
  });
});
