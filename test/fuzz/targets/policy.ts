import { accept } from '../../../src/policy/accept.ts';
import { compile } from '../../../src/policy/compile.ts';
import { decide, grantsSome } from '../../../src/policy/decide.ts';
import type { Decision } from '../../../src/policy/decide.ts';
import type {
  AcceptRuleOptions,
  Command,
  Destination,
  Facts,
  PolicyOptions,
  RuleOptions,
  LocalAddresses,
} from '../../../src/policy/policy.ts';
import { formatIp, ipFromBytes, parseIp, sameIp } from '../../../src/wire/ip.ts';
import type { Ip } from '../../../src/wire/ip.ts';
import { Draw } from '../draw.ts';
import { expectedAccept, expectedDecision } from '../slow-policy.ts';
import { hex, keeps, same } from '../target.ts';
import type { Target } from '../target.ts';

const SELF = ['192.0.2.10', '2001:db8::10', '127.0.0.1', '::1', '0.0.0.0'].map((text) => parseIp(text)!);
const OWN = { ip: parseIp('192.0.2.10')!, port: 1080 };

const SURROUNDINGS: LocalAddresses = {
  isSelf: (ip) => SELF.some((one) => sameIp(one, ip)),
  isOwnPort: (ip, port, transport) => transport === 'tcp' && port === OWN.port && sameIp(ip, OWN.ip),
};

const COMMANDS: readonly Command[] = ['connect', 'bind', 'udp', 'resolve'];
const SETS = 'any public private loopback link-local multicast self metadata reserved'.split(' ');
const NETWORKS = [
  '10.0.0.0/8 10.1.2.0/24 10.1.2.3 100.64.0.0/10 192.0.2.0/24 192.0.2.10 0.0.0.0/0 255.255.255.255',
  '127.0.0.1 127.0.0.0/9 126.0.0.0/7 169.254.169.254 169.254.0.0/16 224.0.0.0/3 240.0.0.0/5',
  '192.0.0.0/23 192.0.0.9 198.18.0.0/15 203.0.113.7 64:ff9b::/96 2002::/16 2002:7f00:1:: fec0::/10 5f00::/15',
  '::/0 ::1 2000::/3 2001:db8::/32 2001:db8::10 fe80::/10 fc00::/6 ff00::/9 fd00:ec2::254',
].flatMap((line) => line.split(' '));
const ADDRESSES = [...SETS, ...NETWORKS];
const NAMES = 'example.com .example.com .com www.example.com .internal a.internal'.split(' ');
const HOSTS =
  'example.com www.example.com a.b.example.com xexample.com a.internal internal com Example.com 127.1 a..b'.split(
    ' ',
  );
const PORTS = [
  { first: 80, last: 80 },
  { first: 443, last: 1080 },
  { first: 1, last: 65_535 },
  { first: 0, last: 0 },
];
const USERS = ['alice', 'bob', '@staff', '@guests'];

export const targets: readonly Target[] = [
  {
    name: 'policy',
    testRuns: 4000,
    seeds: [
      '01 01 0000 0000 010000 0000 0000 0000 00 0a010203 0050',
      '02 00 01 00 01 02 00 01 08 01 00 01 01 01 01 00 02 03 00 00 00 01 7f000001 01bb',
      '03 01 02 01 02 03 00 02 05 09 00 00 00 00 01 02 04 04 06 00 01 02 00 c0a80001 0438 01',
    ].map(hex),
    run(input) {
      const draw = new Draw(input);
      const written = drawPolicy(draw);
      const facts = drawFacts(draw);
      const destination = drawDestination(draw);
      const addresses = draw.chance() ? [drawIp(draw), drawIp(draw)].slice(draw.below(3)) : undefined;

      const options = { ...written, ...(draw.chance() && { nat64: ['64:ff9b::/96'] }) };
      const policy = compile(options);
      const decision = decide(policy, facts, destination, addresses, SURROUNDINGS);
      const told = describe(decision);
      const question = { options, facts, destination, addresses, surroundings: SURROUNDINGS };
      same('the rules decide as they are written', told, expectedDecision(question));
      const { allow, rule } = accept(policy, facts, SURROUNDINGS);
      const expected = expectedAccept(options, facts.client, SURROUNDINGS);
      same('accept rules decide as they are written', { allow, rule: rule?.name }, expected);
      const some = grantsSome(policy, facts, SURROUNDINGS);
      // The server refuses port 0 before it consults the rules.
      const isAllowed = decision.type === 'allow' && destination.port !== 0;
      const isConsistent = !isAllowed || some.type === 'allow';
      keeps('what is allowed in one case is granted in general', isConsistent);
      return `${told.split(' ').slice(0, 2).join(' ')} ${destination.type} ${facts.command} ${some.type}`;
    },
  },
];

/** The decision in words, for comparison. */
function describe(decision: Decision): string {
  if (decision.type === 'resolve') return `resolve ${decision.rule.name}`;
  if (decision.type === 'allow')
    return ['allow', decision.permit.rule.name, ...decision.permit.addresses.map(formatIp)].join(' ');
  const { reason, rule, address } = decision;
  return ['refuse', reason, rule?.name ?? '-', address === undefined ? '-' : formatIp(address)].join(' ');
}

function drawPolicy(draw: Draw): PolicyOptions {
  const rules = Array.from({ length: draw.below(6) }, (_, i) => drawRule(draw, `rule-${i}`));
  if (!draw.chance()) return { rules };
  const acceptRules = Array.from({ length: draw.below(3) }, (_, i): AcceptRuleOptions => {
    const allow = draw.chance();
    const from = draw.chance() ? draw.several(ADDRESSES, 3) : undefined;
    return { name: `accept-${i}`, allow, ...(from !== undefined && { from }) };
  });
  return { accept: acceptRules, rules };
}

/** Each optional key is present if its bit is set. */
function drawRule(draw: Draw, name: string): RuleOptions {
  const has = draw.byte();
  const action = (has & 128) === 0 ? 'allow' : 'deny';
  return {
    name,
    action,
    to: draw.several([...ADDRESSES, ...NAMES], 4),
    ...((has & 1) !== 0 && { commands: draw.several(COMMANDS, 2) }),
    ...((has & 2) !== 0 && { from: draw.several(ADDRESSES, 3) }),
    ...((has & 4) !== 0 && { user: draw.several(USERS, 2) }),
    ...((has & 8) !== 0 && { port: draw.several(PORTS, 2) }),
    ...((has & 16) !== 0 && { sourcePort: draw.several(PORTS, 2) }),
    ...((has & 32) !== 0 && { protocol: draw.several(['socks4', 'socks5'] as const, 1) }),
    ...((has & 64) !== 0 && action === 'allow' && { method: [draw.pick(['none', 'password'] as const)] }),
    log: [],
    revoke: 'close',
  };
}

function drawFacts(draw: Draw): Facts {
  const user = draw.pick([undefined, 'alice', 'bob']);
  return {
    command: draw.pick(COMMANDS),
    listener: 'office',
    client: drawIp(draw),
    sourcePort: draw.pick([80, 500, 40_000]),
    protocol: draw.pick(['socks4', 'socks5'] as const),
    method: user === undefined ? 'none' : 'password',
    ...(user !== undefined && { user }),
    groups: user === undefined ? [] : draw.several(['staff', 'guests'], 2),
    time: 0,
  };
}

function drawDestination(draw: Draw): Destination {
  const port = draw.pick([80, 443, 1080, 0, 65_535]);
  if (draw.chance()) return { type: 'name', name: draw.pick(HOSTS), port };
  return { type: 'ip', ip: drawIp(draw), port };
}

/** The first address of a network, one of its neighbours, one embedded in IPv6, or a random one. */
function drawIp(draw: Draw): Ip {
  const kind = draw.below(8);
  if (kind === 0) return ipFromBytes(padded(draw, 4), 0, 4);
  if (kind === 1) return ipFromBytes(padded(draw, 16), 0, 6);
  const known = parseIp(draw.pick(NETWORKS).split('/')[0]!)!;
  if (kind === 2) return parseIp(known.family === 4 ? `::ffff:${formatIp(known)}` : formatIp(known))!;
  if (kind === 3) return parseIp(known.family === 4 ? `64:ff9b::${formatIp(known)}` : formatIp(known))!;
  const [a, b, c, d] = known.words;
  if (kind === 4 && known.family === 4)
    return { family: 6, words: [(0x2002_0000 | (d >>> 16)) >>> 0, (d << 16) >>> 0, 0, 1] };
  if (kind === 4) return { ...known, words: [a, b, c, (d - 1) >>> 0] };
  if (kind === 5) return { ...known, words: [a, b, c, (d + 1) >>> 0] };
  return known;
}

function padded(draw: Draw, size: number): Uint8Array {
  return Uint8Array.from({ length: size }, () => draw.byte());
}
