import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { formatIp } from '../wire/ip.ts';
import { conditionRemedy, parseCondition, parsePortRange } from './conditions.ts';
import { nat64Remedy } from './nat64.ts';

suite('parseCondition', () => {
  const rows: Readonly<Record<string, string>> = {
    any: 'set any',
    public: 'set public',
    private: 'set private',
    loopback: 'set loopback',
    'link-local': 'set link-local',
    multicast: 'set multicast',
    self: 'set self',
    metadata: 'set metadata',
    reserved: 'set reserved',
    ANY: 'set any',
    '10.0.0.0/8': 'range 10.0.0.0 10.255.255.255',
    '10.0.0.1': 'range 10.0.0.1 10.0.0.1',
    'fc00::/7': 'range fc00:: fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
    '::/0': 'range :: ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
    '64:ff9b::/96': 'range 64:ff9b:: 64:ff9b::ffff:ffff',
    '2002:a00::/24': 'range 2002:a00:: 2002:aff:ffff:ffff:ffff:ffff:ffff:ffff',
    'www.example.com': 'name www.example.com',
    'WWW.Example.com.': 'name www.example.com',
    '.Example.com': 'name .example.com',
    '.münchen.example': 'name .xn--mnchen-3ya.example',
    '.public': 'name .public',
  };
  for (const [text, expected] of Object.entries(rows)) {
    test(text, () => {
      const condition = parseCondition(text);
      assert.ok(condition);
      const { type } = condition;
      if (type === 'set') assert.equal(`${type} ${condition.set}`, expected);
      else if (type === 'name') assert.equal(`${type} ${condition.name}`, expected);
      else {
        const { first, last } = condition.range;
        assert.equal(`${type} ${formatIp(first)} ${formatIp(last)}`, expected);
      }
    });
  }
});

suite('invalid conditions, and their corrections', () => {
  const rows: Readonly<Record<string, RegExp>> = {
    '10.0.3.1/24': /^write 10\.0\.3\.0\/24 for the network, or 10\.0\.3\.1 for the one address$/,
    '2001:db8::1/64': /^write 2001:db8::\/64 for the network, or 2001:db8::1 for the one address$/,
    '::ffff:10.0.0.1': /^write the IPv4 address or network/,
    '::ffff:10.0.0.0/104': /^write the IPv4 address or network/,
    '*.example.com': /^write \.example\.com$/,
    '*': /^write any$/,
    '.': /^write any$/,
    'www.example.com:443': /^write the port under `port`$/,
    '10.0.0.1:443': /^write the port under `port`$/,
    '127.1': /^write an address with all four of its numbers/,
    '5': /^write an address with all four of its numbers/,
    '10.0/16': /^write 10\.0\.0\.0\/16$/,
    '10/33': /^write an address with all four of its numbers/,
    '10.0.0.0/33': /^write a prefix from \/0 to \/32, or 10\.0\.0\.0 for the one address$/,
    '2001:db8::/129': /^write a prefix from \/0 to \/128, or 2001:db8:: for the one address$/,
    '10.0.0.0/024': /^write a prefix from/,
    '10.0.0.0/255.255.255.0': /^write 10\.0\.0\.0\/24$/,
    '10.0.0.0 255.255.252.0': /^write 10\.0\.0\.0\/22$/,
    '10.0.0.0/0.0.0.255': /^write 10\.0\.0\.0\/24$/,
    '10.0.0.7/255.255.255.0': /^write 10\.0\.0\.0\/24 for the network, or 10\.0\.0\.7 for the one address$/,
    '10.0.0.7/255.255.255.255': /^write 10\.0\.0\.7\/32$/,
    '0.0.0.0/0.0.0.0': /^write 0\.0\.0\.0\/0$/,
    '10.0.0.0/255.0.255.0': /this mask is not a prefix$/,
    '10.0.0.0/0.0.0.5': /this mask is not a prefix$/,
    '10.0.0.1-10.0.0.9':
      /^write the networks in it: 10\.0\.0\.1, 10\.0\.0\.2\/31, 10\.0\.0\.4\/30, 10\.0\.0\.8\/31$/,
    '10.0.0.1-9': /^write the networks in it: 10\.0\.0\.1, 10\.0\.0\.2\/31, /,
    '10.0.0.9 - 10.0.0.8': /^write the networks in it: 10\.0\.0\.8\/31$/,
    '0.0.0.0-255.255.255.255': /^write the networks in it: 0\.0\.0\.0\/0$/,
    '0.0.0.1-255.255.255.254': /^write the networks in it: 0\.0\.0\.1, .*, …$/,
    '2001:db8::-2001:db8::1': /^write the networks in it: 2001:db8::\/127$/,
    '10.0.0.1-2001:db8::': /^write a CIDR/,
    '10.0.0.*': /^write 10\.0\.0\.0\/24$/,
    '10.*.*.*': /^write 10\.0\.0\.0\/8$/,
    '.127.1': /^write a CIDR/,
    'www example.com': /^write a CIDR/,
    '': /^write a CIDR/,
  };
  for (const [text, remedy] of Object.entries(rows)) {
    test(`'${text}'`, () => {
      assert.equal(parseCondition(text), undefined);
      assert.match(conditionRemedy(text), remedy);
    });
  }
});

suite('prefixes of a NAT64', () => {
  const rows: Readonly<Record<string, RegExp | undefined>> = {
    '64:ff9b::/96': undefined,
    '64:ff9b:1::/48': undefined,
    '64:ff9b:1:2::/96': undefined,
    '2001:db8::/32': undefined,
    '2001:db8:100::/40': undefined,
    '2001:db8:1:100::/56': undefined,
    '2001:db8:1:2::/64': undefined,
    '2001:db8::1:0:0/96': undefined,
    '10.0.0.0/8': /^write an IPv6 prefix/,
    '64:ff9b::': /^write an IPv6 prefix/,
    x: /^write an IPv6 prefix/,
    '2001:db8::/44': /^write one of \/32, \/40, \/48, \/56, \/64, \/96/,
    '2001:db8::1/96': /^clear the bits after the first 96$/,
    '2001:db8:0:0:100::/96': /^bits 64 to 71/,
    '::ffff:0:0/96': /^::\/32 includes/,
    '::/96': /^::\/32 includes/,
    '64:ff9b::/32': /^write 64:ff9b::\/96$/,
    '64:ff9b:0:0:1::/96': /^write 64:ff9b::\/96$/,
    '2002:a00::/32': /^2002::\/16 is 6to4/,
  };
  for (const [text, remedy] of Object.entries(rows)) {
    test(`'${text}'`, () => {
      if (remedy === undefined) assert.equal(nat64Remedy(text), undefined);
      else assert.match(nat64Remedy(text)!, remedy);
    });
  }
});

suite('parsePortRange', () => {
  const rows: Readonly<Record<string, string | undefined>> = {
    '443': '443 443',
    '8000-8999': '8000 8999',
    '0-65535': '0 65535',
    '80-80': '80 80',
    '65536': undefined,
    '8999-8000': undefined,
    '80-': undefined,
    '-80': undefined,
    '80-90-100': undefined,
    '8e1': undefined,
    http: undefined,
    '': undefined,
  };
  for (const [text, expected] of Object.entries(rows)) {
    test(`'${text}'`, () => {
      const range = parsePortRange(text);
      assert.equal(range && `${range.first} ${range.last}`, expected);
    });
  }
});
