import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { decodeProxyHeader, encodeProxyHeader } from './proxy-header.ts';
import type { ProxyAddresses } from './proxy-header.ts';

const SIGNATURE = '0d0a0d0a000d0a515549540a';
const tcp4: ProxyAddresses = {
  source: { host: '192.0.2.1', port: 56_324 },
  destination: { host: '198.51.100.1', port: 443 },
};
const tcp6: ProxyAddresses = {
  source: { host: '2001:db8::1', port: 56_324 },
  destination: { host: '2001:db8::2', port: 443 },
};

// PROXY protocol, sections 2.1 and 2.2.
suite('encodeProxyHeader', () => {
  for (const { name, addresses, v1, v2 } of [
    {
      name: 'IPv4',
      addresses: tcp4,
      v1: 'PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n',
      v2: '21 11 000c c0000201 c6336401 dc04 01bb',
    },
    {
      name: 'IPv6',
      addresses: tcp6,
      v1: 'PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n',
      v2: '21 21 0024 20010db8000000000000000000000001 20010db8000000000000000000000002 dc04 01bb',
    },
    {
      name: 'a zone',
      addresses: { ...tcp6, source: { host: 'fe80::1%eth0', port: 1 } },
      v1: 'PROXY TCP6 fe80::1 2001:db8::2 1 443\r\n',
      v2: '21 21 0024 fe800000000000000000000000000001 20010db8000000000000000000000002 0001 01bb',
    },
    {
      name: 'both families',
      addresses: { source: tcp6.source, destination: tcp4.destination },
      v1: 'PROXY TCP6 2001:db8::1 ::ffff:198.51.100.1 56324 443\r\n',
      v2: '21 21 0024 20010db8000000000000000000000001 00000000000000000000ffffc6336401 dc04 01bb',
    },
    { name: 'no addresses', addresses: undefined, v1: 'PROXY UNKNOWN\r\n', v2: '20 00 0000' },
  ]) {
    test(name, () => {
      const header = addresses === undefined ? {} : { addresses };
      const line = encodeProxyHeader('v1', header);
      const binary = encodeProxyHeader('v2', header);
      assert.equal(Buffer.from(line).toString(), v1);
      assert.equal(Buffer.from(binary).toString('hex'), SIGNATURE + v2.replaceAll(' ', ''));
      const decoded = [line, binary].map((bytes) => decodeProxyHeader(bytes));
      assert.deepEqual(decoded[0]?.value, decoded[1]?.value);
      assert.deepEqual(
        decoded.map((one) => one?.size),
        [line.length, binary.length],
      );
    });
  }
});
