import { isIP } from 'node:net';
import { parseCidr, rangeOf } from '../../../src/policy/addresses.ts';
import { conditionRemedy, parseCondition, parsePortRange } from '../../../src/policy/conditions.ts';
import { isNumericName, parseName } from '../../../src/policy/names.ts';
import { destinationOf } from '../../../src/server/destination.ts';
import { Failure } from '../../../src/server/failure.ts';
import { AddressType } from '../../../src/wire/address.ts';
import { formatIp, parseIp } from '../../../src/wire/ip.ts';
import { numberOf, sizeOf } from '../big-address.ts';
import { keeps, same, words } from '../target.ts';
import type { Target } from '../target.ts';

export const targets: readonly Target[] = [
  {
    name: 'names',
    testRuns: 30_000,
    seeds: words(
      'example.com .Example.COM. münchen.example 127.0.0.1 [::1] 127.1 0x7f.1 10.0.0.0/8 2001:db8::/32',
      '::ffff:192.0.2.1 64:ff9b::192.0.2.1 8000-8999 metadata *.example.com:80',
    ),
    tokens: words('. : :: 0x 。 １ ß xn-- % / - 00 \u00AD \u200D /128 @ # \t'),
    run(input) {
      const text = Buffer.from(input.subarray(0, 300)).toString();
      return [address, name, destination, network, condition, ports].map((check) => check(text)).join(' ');
    },
  },
];

function address(text: string): string {
  const ip = parseIp(text);
  const isKnown = isIP(text) > 0 && !text.includes('%'); // Node accepts a zone as well
  keeps('an address is what Node takes for one', (ip !== undefined) === isKnown);
  if (ip === undefined) return '-';
  const written = formatIp(ip);
  same('written and read, an address is the same', parseIp(written), ip);
  same('an address has one text', formatIp(parseIp(written)!), written);
  if (ip.family === 6) {
    const seen = URL.parse(`http://[${text}]`)!.hostname.slice(1, -1);
    same('an address is what a URL takes it for', parseIp(seen), ip);
  }
  return `${ip.family}`;
}

function name(text: string): string {
  const parsed = parseName(text);
  if (parsed === undefined) return '-';
  same('a name has one form', parseName(parsed), parsed);
  same('its case means nothing', parseName(parsed.toUpperCase()), parsed);
  same('nor does a dot at its end', parseName(`${parsed}.`), parsed);
  keeps('a name is plain ASCII', /^[a-z0-9_.-]{1,253}$/.test(parsed));
  if (isNumericName(parsed)) return 'numeric';
  const host = URL.parse(`http://${parsed}/`)?.hostname ?? '';
  keeps('a name is no address to anybody', isIP(host) === 0, () => `${text}: ${host}`);
  return 'name';
}

function destination(text: string): string {
  try {
    const found = destinationOf({ type: AddressType.name, host: text, port: 80 });
    if (found.type === 'ip') {
      const again = destinationOf({ type: AddressType.name, host: formatIp(found.ip), port: 80 });
      same('an address by name is the address', again, found);
    } else {
      same('a destination has one form', parseName(found.name), found.name);
      keeps('a destination is no address in disguise', !isNumericName(found.name));
    }
    return found.type;
  } catch (error) {
    if (error instanceof Failure) return error.detail ?? '';
    throw error;
  }
}

function network(text: string): string {
  const cidr = parseCidr(text);
  if (cidr === undefined) return '-';
  const { first, last } = rangeOf(cidr);
  const free = BigInt(sizeOf(cidr.ip) - cidr.size);
  const start = (numberOf(cidr.ip) >> free) << free;
  same('a network begins where its bits say', numberOf(first), start);
  same('a network ends where its bits say', numberOf(last), start + (1n << free) - 1n);
  same('a network is of one family', [first.family, last.family], [cidr.ip.family, cidr.ip.family]);
  same('written and read, a network is the same', parseCidr(`${formatIp(cidr.ip)}/${cidr.size}`), cidr);
  return 'network';
}

function condition(text: string): string {
  const parsed = parseCondition(text);
  if (parsed === undefined) {
    keeps('there is advice about every condition', conditionRemedy(text) !== '');
    return '-';
  }
  if (parsed.type === 'name') same('a name of a condition has one form', parseCondition(parsed.name), parsed);
  return parsed.type;
}

function ports(text: string): string {
  const range = parsePortRange(text);
  if (range === undefined) return '-';
  const { first, last } = range;
  keeps('a range of ports is one', first >= 0 && first <= last && last <= 65_535);
  same('written and read, it is the same', parsePortRange(`${first}-${last}`), range);
  return 'ports';
}
