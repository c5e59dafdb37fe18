import { isNumericName, parseName } from '../../src/policy/names.ts';
import type {
  Destination,
  Facts,
  PolicyOptions,
  PortRange,
  RuleOptions,
  LocalAddresses,
} from '../../src/policy/policy.ts';
import { formatIp, parseIp } from '../../src/wire/ip.ts';
import type { Ip } from '../../src/wire/ip.ts';
import { insideOf, numberOf, sizeOf, unmappedOf } from './big-address.ts';

/** A second implementation of the rules: no index, no compiled sets, one condition after the other. */
export interface Question {
  readonly options: PolicyOptions;
  readonly facts: Facts;
  readonly destination: Destination;
  /** The addresses of a name; `undefined` while it is not resolved. */
  readonly addresses: readonly Ip[] | undefined;
  readonly surroundings: LocalAddresses;
}

const SETS: Readonly<Record<string, readonly string[]>> = {
  private: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', '198.18.0.0/15', 'fc00::/7'],
  loopback: ['127.0.0.0/8', '::1'],
  'link-local': ['169.254.0.0/16', 'fe80::/10'],
  multicast: ['224.0.0.0/4', 'ff00::/8'],
  metadata: [
    '169.254.169.254',
    '100.100.100.200',
    '168.63.129.16',
    '192.0.0.192',
    'fd00:ec2::/32',
    'fd20:ce::254',
    'fd00:42::42',
    'fd00:c1::a9fe:a9fe',
    'fd00:a9fe:a9fe::1',
    'fd00:100::100:200',
  ],
  // Only these parts of 192.0.0.0/24 and 2001::/23: no other addresses in them are drawn.
  reserved: [
    '0.0.0.0/8',
    '192.0.0.0/29',
    '192.0.0.8',
    '192.0.0.128/25',
    '192.0.2.0/24',
    '192.88.99.0/24',
    '198.18.0.0/15',
    '198.51.100.0/24',
    '203.0.113.0/24',
    '240.0.0.0/4',
    '::/96',
    '::ffff:0:0:0/96',
    '64:ff9b:1::/48',
    '100::/64',
    '100:0:0:1::/64',
    '2001::/32',
    '2001:2::/48',
    '2001:10::/28',
    '2001:20::/28',
    '2001:30::/28',
    '2001:db8::/32',
    '3fff::/20',
    '5f00::/16',
    'fec0::/10',
  ],
};
const SPECIAL_SETS = ['loopback', 'link-local', 'multicast', 'metadata', 'reserved'];
const SPECIAL = SPECIAL_SETS.flatMap((set) => SETS[set]!);
/** Addresses within the blocks of `reserved` that do not belong to it. */
const NOT_RESERVED: ReadonlySet<string> = new Set(['0.0.0.0', '::', '::1']);

/** `allow RULE ADDRESS…`, `resolve RULE` or `refuse REASON RULE ADDRESS`. */
export function expectedDecision(question: Question): string {
  const { destination, addresses } = question;
  if (destination.type === 'ip') return byAddresses(question, [destination.ip]);
  const { name } = destination;
  if (parseName(name) !== name || isNumericName(name)) return 'refuse bad-name - -';
  return addresses === undefined ? byName(question, name) : byAddresses(question, addresses);
}

export function expectedAccept({ accept }: PolicyOptions, client: Ip, surroundings: LocalAddresses): object {
  if (accept === undefined) return { allow: true, rule: undefined };
  const ip = unmappedOf(client);
  const rule = accept.find(({ from }) => from?.some((entry) => isFrom(entry, ip, surroundings)) ?? true);
  return { allow: rule?.allow ?? false, rule: rule?.name };
}

function byName(question: Question, name: string): string {
  for (const rule of question.options.rules) {
    if (!isFor(rule, question)) continue;
    if (rule.to.some((entry) => entry === 'any' || isNamed(entry, name))) {
      const refusal = refusalBy(rule, question.facts);
      return refusal === undefined ? `allow ${rule.name}` : `${refusal} -`;
    }
    if (rule.to.some((entry) => isAboutAddresses(entry))) return `resolve ${rule.name}`;
  }
  return 'refuse no-rule - -';
}

function byAddresses(question: Question, addresses: readonly Ip[]): string {
  const refusals: string[] = [];
  const allowed: { readonly rule: RuleOptions; readonly address: string }[] = [];
  for (const ip of addresses) {
    const outcome = byAddress(question, ip);
    if (typeof outcome === 'string') refusals.push(`${outcome} ${formatIp(ip)}`);
    else allowed.push({ rule: outcome, address: formatIp(ip) });
  }
  const [first] = allowed;
  if (first === undefined) return refusals[0] ?? 'refuse no-address - -';
  const dialled = allowed.filter(({ rule }) => rule === first.rule);
  return ['allow', first.rule.name, ...dialled.map(({ address }) => address)].join(' ');
}

/** The forms of a destination address that conditions compare. */
interface Seen {
  readonly own: Ip;
  readonly inside: Ip | undefined;
  /** Compared with the networks of an allowing rule. */
  readonly meant: Ip | undefined;
}

/** The rule that allows this address, or the refusal. */
function byAddress(question: Question, ip: Ip): RuleOptions | string {
  const { options, facts, destination, surroundings } = question;
  const own = unmappedOf(ip);
  const { nat64, sixToFour } = insideOf(own);
  const inside = nat64 ?? sixToFour;
  const isTranslated = nat64 !== undefined && options.nat64 !== undefined;
  const meant = inside === undefined ? own : isTranslated ? inside : undefined;
  const transport = facts.command === 'udp' ? 'udp' : 'tcp';
  const isOwnPort = [own, inside].some(
    (one) => one !== undefined && surroundings.isOwnPort(one, destination.port, transport),
  );
  if (facts.command !== 'resolve' && isOwnPort) return 'refuse own-port -';
  const name = destination.type === 'name' ? destination.name : undefined;
  const rule = options.rules.find(
    (one) => isFor(one, question) && leadsTo(one, name, { own, inside, meant }, surroundings),
  );
  return rule === undefined ? 'refuse no-rule -' : (refusalBy(rule, facts) ?? rule);
}

function refusalBy({ name, action, method }: RuleOptions, facts: Facts): string | undefined {
  if (action === 'deny') return `refuse rule ${name}`;
  return method === undefined || method.includes(facts.method) ? undefined : `refuse method ${name}`;
}

/** Checks every condition except `to`. */
function isFor(rule: RuleOptions, { facts, destination, surroundings }: Question): boolean {
  const client = unmappedOf(facts.client);
  const users = new Set([facts.user, ...facts.groups.map((group) => `@${group}`)]);
  return (
    (rule.commands?.includes(facts.command) ?? true) &&
    (rule.listener?.includes(facts.listener) ?? true) &&
    (rule.protocol?.includes(facts.protocol) ?? true) &&
    (rule.from?.some((entry) => isFrom(entry, client, surroundings)) ?? true) &&
    (rule.user?.some((user) => users.has(user)) ?? true) &&
    isAmong(rule.port, destination.port) &&
    isAmong(rule.sourcePort, facts.sourcePort)
  );
}

function isAmong(ranges: readonly PortRange[] | undefined, port: number): boolean {
  return ranges?.some(({ first, last }) => port >= first && port <= last) ?? true;
}

function isFrom(entry: string, ip: Ip, surroundings: LocalAddresses): boolean {
  return entry === 'self' ? surroundings.isSelf(ip) : isIn(entry, ip);
}

function leadsTo(
  rule: RuleOptions,
  name: string | undefined,
  { own, inside, meant }: Seen,
  surroundings: LocalAddresses,
): boolean {
  const both = inside === undefined ? [own] : [own, inside];
  const end = inside ?? own;
  const isSelf = both.some((one) => surroundings.isSelf(one));
  const named = (entry: string): boolean => name !== undefined && isNamed(entry, name);
  if (rule.action === 'deny')
    return rule.to.some((entry) => {
      if (entry === 'self') return isSelf;
      return named(entry) || (entry === 'public' ? isIn(entry, end) : both.some((one) => isIn(entry, one)));
    });
  const isMyself = surroundings.isSelf(own) || (meant !== undefined && surroundings.isSelf(meant));
  if (isMyself && rule.to.includes('self')) return true;
  if (isSelf || isInAny(SPECIAL, end))
    return meant !== undefined && rule.to.some((entry) => namesSpecial(entry) && isIn(entry, meant));
  return rule.to.some((entry) => {
    if (named(entry) || entry === 'any') return true;
    return entry === 'public' ? isIn(entry, end) : meant !== undefined && isIn(entry, meant);
  });
}

/** Whether an entry is a special set, a single address, or a network of special addresses only. */
function namesSpecial(entry: string): boolean {
  if (SPECIAL_SETS.includes(entry)) return true;
  if (!isAboutAddresses(entry) || entry in SETS || !/\d|::/.test(entry)) return false;
  return !entry.includes('/') || isCovered(entry);
}

/** A network is covered by one special network, or if both halves are. */
function isCovered(network: string): boolean {
  const { start, free, family } = read(network);
  if (
    SPECIAL.some((special) => {
      const other = read(special);
      return (
        other.family === family && other.free >= free && start >> other.free === other.start >> other.free
      );
    })
  )
    return true;
  const overlaps = SPECIAL.some((special) => {
    const other = read(special);
    return other.family === family && other.start >> free === start >> free;
  });
  if (!overlaps || free === 0n) return false;
  return [0n, 1n].every((half) => isCovered(write(start + (half << (free - 1n)), free - 1n, family)));
}

function isIn(entry: string, ip: Ip): boolean {
  if (entry === 'any') return true;
  if (entry === 'public') return !isInAny(SPECIAL, ip) && !isInAny(SETS['private']!, ip);
  if (entry === 'reserved' && NOT_RESERVED.has(formatIp(ip))) return false;
  if (entry in SETS) return isInAny(SETS[entry]!, ip);
  if (!isAboutAddresses(entry) || entry === 'self') return false;
  const { start, free, family } = read(entry);
  return family === ip.family && numberOf(ip) >> free === start >> free;
}

function isInAny(networks: readonly string[], ip: Ip): boolean {
  return networks.some((network) => isIn(network, ip));
}

function isNamed(entry: string, name: string): boolean {
  if (isAboutAddresses(entry)) return false;
  return entry.startsWith('.') ? `.${name}`.endsWith(entry) : entry === name;
}

function isAboutAddresses(entry: string): boolean {
  return (
    ['any', 'public', 'self'].includes(entry) || entry in SETS || parseIp(entry.split('/')[0]!) !== undefined
  );
}

interface Network {
  readonly start: bigint;
  /** The number of bits after the prefix. */
  readonly free: bigint;
  readonly family: 4 | 6;
}

const networks = new Map<string, Network>();

function read(text: string): Network {
  let network = networks.get(text);
  if (network === undefined) {
    const [host, size] = text.split('/');
    const ip = parseIp(host!)!;
    const free = BigInt(size === undefined ? 0 : sizeOf(ip) - Number(size));
    network = { start: numberOf(ip), free, family: ip.family };
    networks.set(text, network);
  }
  return network;
}

function write(start: bigint, free: bigint, family: 4 | 6): string {
  const digits = start.toString(16).padStart(family === 4 ? 8 : 32, '0');
  const host = family === 4 ? Buffer.from(digits, 'hex').join('.') : digits.replaceAll(/(.{4})(?!$)/g, '$1:');
  return `${host}/${(family === 4 ? 32 : 128) - Number(free)}`;
}
