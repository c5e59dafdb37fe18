import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nameServer } from './name-server.ts';

test('name servers and their ports', () => {
  const rows = [
    ['10.0.0.53', { host: '10.0.0.53', port: 53 }],
    ['10.0.0.53:5353', { host: '10.0.0.53', port: 5353 }],
    ['FD00::53', { host: 'fd00::53', port: 53 }],
    ['[fd00::53]:5353', { host: 'fd00::53', port: 5353 }],
    ['fe80::53%eth0', { host: 'fe80::53%eth0', port: 53 }],
    ['[fe80::53%eth0]:5353', { host: 'fe80::53%eth0', port: 5353 }],
    ['tls://[fe80::53%eth0]', { host: 'fe80::53%eth0', port: 853, encrypted: {} }],
    ['tls://10.0.0.53', { host: '10.0.0.53', port: 853, encrypted: {} }],
    ['tls://10.0.0.53:8853', { host: '10.0.0.53', port: 8853, encrypted: {} }],
    ['tls://[fd00::53]#DNS.example', { host: 'fd00::53', port: 853, encrypted: { name: 'dns.example' } }],
    ['https://10.0.0.53/', { host: '10.0.0.53', port: 443, encrypted: { path: '/' } }],
    [
      'https://[fd00::53]:8443/dns-query#dns.example',
      { host: 'fd00::53', port: 8443, encrypted: { name: 'dns.example', path: '/dns-query' } },
    ],
  ] as const;
  for (const [text, server] of rows) assert.deepEqual(nameServer.parse(text), server, text);
});

test('invalid name servers', () => {
  const rows = [
    ['dns.example.com', /not an address/],
    ['dns.example.com:53', /not the address of a name server/],
    ['10.0.0.53:0', /not the address/],
    ['[10.0.0.53]:53', /not an IPv6 address/],
    ['[fe80::53]:53', /link-local/],
    ['tls://dns.example', /not an address/],
    ['tls://fd00::53', /brackets/],
    ['tls://10.0.0.53/dns-query', /no path/],
    ['tls://10.0.0.53#', /there is no name after #/],
    ['tls://10.0.0.53#10.0.0.53', /there is no name after #/],
    ['https://10.0.0.53', /has a path/],
    ['https://dns.example/dns-query', /not an address/],
    ['https://10.0.0.53/dns query', /characters/],
    ['quic://10.0.0.53', /not an address/],
    [53, /53/],
  ] as const;
  for (const [text, message] of rows) {
    assert.match(nameServer.safeParse(text).error?.issues[0]?.message ?? 'none', message, String(text));
  }
});
