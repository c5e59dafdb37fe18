import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { suite, test } from 'node:test';
import * as fc from 'fast-check';
import { formatIp, parseIp, sameIp, unmapped } from '../wire/ip.ts';
import type { Ip } from '../wire/ip.ts';
import { compile } from './compile.ts';
import { parsePortRange } from './conditions.ts';
import { decide, grantsSome } from './decide.ts';
import type { Decision, Permit } from './decide.ts';
import { nearMisses } from './near-misses.ts';
import type {
  Command,
  Destination,
  Facts,
  Method,
  Protocol,
  RuleOptions,
  LocalAddresses,
  WhenOptions,
} from './policy.ts';

const ROWS = readFileSync(new URL('decide.rows.txt', import.meta.url), 'utf8');

const NEARLY = readFileSync(new URL('near-misses.rows.txt', import.meta.url), 'utf8');

suite('decide', () => {
  for (const { name, rules, nat64, questions } of readBlocks(ROWS)) {
    test(name, () => {
      const policy = compile({ rules: rules.map(readRule), nat64 });
      const answered = questions.map((line) => {
        const [question = ''] = line.split(' -> ');
        return `${question} -> ${show(ask(policy, question))}`;
      });
      assert.deepEqual(answered, questions);
    });
  }

  test('a permit names its rule and the destination', () => {
    const rule = readRule('allow connect to any', 0);
    const decision = ask(compile({ rules: [rule] }), 'connect www.example.com:443 = 192.0.3.7');
    assert.equal(decision.type, 'allow');
    assert.equal(decision.permit.rule, rule);
    assert.deepEqual(decision.permit.destination, { type: 'name', name: 'www.example.com', port: 443 });
  });

  test('nothing but decide makes a permit', async () => {
    const rule = readRule('allow connect to any', 0);
    const destination: Destination = { type: 'name', name: 'www.example.com', port: 443 };
    // @ts-expect-error: no object literal is a permit
    const forged: Permit = { rule, destination, addresses: [] };
    assert.ok(forged);
    assert.deepEqual(Object.keys(await import('./decide.ts')), ['decide', 'grantsSome']);
  });

  test('a policy reports whether time alone can change an answer', () => {
    assert.equal(compile({ rules: [readRule('allow any to any', 0)] }).timed, false);
    assert.equal(compile({ rules: [readRule('allow any to any when', 0)] }).timed, true);
  });

  test('an unreadable condition is an error, not a rule that matches less', () => {
    for (const rule of ['deny any to 127.1', 'allow any to any from a.example', 'deny any to 10.0.0.1/8']) {
      assert.throws(() => compile({ rules: [readRule(rule, 0)] }), TypeError);
    }
  });

  test('property: whatever a name resolves to, `to: [any]` never permits a special address', () => {
    const policy = compile({ rules: [readRule('allow any to any 0.0.0.0/0 ::/0 private .example', 0)] });
    const property = fc.property(fc.array(anyIp, { minLength: 1, maxLength: 6 }), (ips) => {
      const destination: Destination = { type: 'name', name: 'a.example', port: 80 };
      const decision = decide(policy, factsOf('connect', {}), destination, ips, MACHINE);
      const allowed = decision.type === 'allow' ? decision.permit.addresses : [];
      assert.deepEqual(
        allowed,
        ips.filter((ip) => !SPECIAL.test(formatIp(ip))),
      );
    });
    fc.assert(property, { numRuns: 300 });
  });

  test('property: an address is decided in the same way as a literal and as one of several addresses of a name', () => {
    const policy = compile({
      rules: ['deny any to private', 'allow any to 0.0.0.0/1 loopback', 'allow any to any'].map(readRule),
    });
    const property = fc.property(fc.array(anyIp, { minLength: 1, maxLength: 6 }), (ips) => {
      const facts = factsOf('connect', {});
      const alone = ips.map((ip) => decide(policy, facts, { type: 'ip', ip, port: 80 }, undefined, MACHINE));
      const together = decide(policy, facts, { type: 'name', name: 'a.example', port: 80 }, ips, MACHINE);
      const first = alone.find((decision) => decision.type === 'allow');
      if (first === undefined) return assert.deepEqual(together, alone[0]);
      const same = alone.flatMap((decision) =>
        decision.type === 'allow' && decision.permit.rule === first.permit.rule
          ? decision.permit.addresses
          : [],
      );
      assert.equal(show(together), `allow ${first.permit.rule.name} ${same.map(formatIp).join(' ')}`);
    });
    fc.assert(property, { numRuns: 300 });
  });
});

suite('near misses', () => {
  for (const { name, rules, nat64, questions } of readBlocks(NEARLY)) {
    test(name, () => {
      const policy = compile({ rules: rules.map(readRule), nat64 });
      const answered = questions.map((line) => {
        const [question = ''] = line.split(' -> ');
        const decision = ask(policy, question);
        assert(decision.type === 'refuse' && decision.reason === 'no-rule', question);
        const { facts, destination } = readQuestion(question);
        const missed = nearMisses(policy, facts, destination, decision.address, MACHINE);
        const shown = missed.map(({ conditions, text }) => `${conditions.options.name} ${text}`).join('; ');
        return `${question} -> ${shown || 'none'}`;
      });
      assert.deepEqual(answered, questions);
    });
  }

  test('whatever keeps a rule from matching is found', () => {
    for (const { rules, questions } of readBlocks(`${ROWS}\n${NEARLY}`)) {
      const policy = compile({ rules: rules.map(readRule) });
      for (const question of questions.map((line) => line.split(' -> ')[0]!)) {
        const { facts } = readQuestion(question);
        const client = unmapped(facts.client);
        for (const rule of policy.rules)
          assert.equal(
            rule.unmet(facts, client, MACHINE).length === 0,
            rule.isFor(facts, client, MACHINE),
            question,
          );
      }
    }
  });

  test('long lists are cut short', () => {
    const ports = Array.from({ length: 100 }, (_, i) => String(i + 1)).join(' ');
    const policy = compile({ rules: [readRule(`allow any to any port ${ports}`, 0)] });
    const { facts, destination } = readQuestion('connect 192.0.3.7:8000');
    assert.deepEqual(
      nearMisses(policy, facts, destination, undefined, MACHINE).map(({ condition, text }) => [
        condition,
        text,
      ]),
      [['port', 'port 8000 is not in [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, and 90 more]']],
    );
  });
});

const OFFICE_HOURS: WhenOptions = {
  days: [1, 2, 3, 4, 5],
  hours: { start: 8 * 60, end: 18 * 60 },
  zone: 'Europe/Oslo',
};

/**
 * As a regular expression, independent of sets.ts: loopback, link-local, metadata, multicast, unspecified,
 * reserved, self.
 */
const SPECIAL = new RegExp(
  [
    String.raw`^(127\.|169\.254\.|100\.100\.100\.200$|168\.63\.129\.16$|0\.|22[4-9]\.|2[345]\d\.|10\.0\.3\.1$`,
    String.raw`192\.0\.0\.(?!9$|10$)|192\.0\.2\.|192\.88\.99\.|198\.1[89]\.|198\.51\.100\.|203\.0\.113\.`,
    '::[^:]*(:[^:]+)?$|::ffff:0:[^:]+:[^:]+$|64:ff9b:1:|100::1$|fe[89a-f].:|ff..:|2001:(1::4$|db8:)',
    'fd00:ec2:|fd00:(42::42|c1::a9fe:a9fe|a9fe:a9fe::1|100::100:200)$|fd20:ce::254$|fd00::1$)',
  ].join('|'),
);

const anyIp: fc.Arbitrary<Ip> = fc.oneof(
  fc.ipV4().map((text) => parseIp(text)!),
  fc
    .tuple(fc.integer({ min: 0, max: 0xffff_ffff }), fc.integer({ min: 0, max: 0xffff_ffff }))
    .map(([high, low]): Ip => ({
      family: 6,
      words: [((high & 0x3fff_ffff) | 0xc000_0000) >>> 0, 0, 0, low],
    })),
  fc
    .constantFrom(
      '127.0.0.1',
      '127.255.255.255',
      '128.0.0.0',
      '169.254.169.254',
      '0.0.0.0',
      '10.0.3.1',
      '10.0.3.2',
      '::',
      '::1',
      '::2',
      '::7f00:1',
      '::1:0:0',
      '64:ff9b:1::a00:1',
      '64:ff9b:2::a00:1',
      'fe80::1',
      'fd00::1',
      'fd00:ec2::254',
      '255.255.255.255',
      '223.255.255.255',
      '192.0.0.9',
      '192.0.0.11',
      '192.0.2.1',
      '198.18.0.1',
      '::ffff:0:7f00:1',
      '100::1',
      '2001:1::1',
      '2001:1::4',
      '2001:db8::1',
      'fd00:ec2:1::53',
      'fd00:ec3::1',
      'fec0::1',
    )
    .map((text) => parseIp(text)!),
);

const MACHINE: LocalAddresses = {
  isSelf: (ip) => ['10.0.3.1', 'fd00::1'].some((text) => sameIp(parseIp(text)!, ip)),
  isOwnPort: (ip, port, transport) =>
    sameIp(parseIp('10.0.3.1')!, ip) && port === (transport === 'tcp' ? 1080 : 40_000),
};

interface Block {
  readonly name: string;
  readonly rules: string[];
  readonly nat64: string[];
  /** Each with the expected answer. */
  readonly questions: string[];
}

/** Block names are not indented, rules are indented by 2, questions by 4. */
function readBlocks(text: string): Block[] {
  const blocks: Block[] = [];
  for (const line of text.split('\n').filter((found) => found !== '' && !found.startsWith('#'))) {
    if (!line.startsWith(' ')) blocks.push({ name: line, rules: [], nat64: [], questions: [] });
    else if (line.startsWith('  nat64 ')) blocks.at(-1)!.nat64.push(...line.trim().split(' ').slice(1));
    else blocks.at(-1)![line.startsWith('    ') ? 'questions' : 'rules'].push(line.trim());
  }
  return blocks;
}

interface Question {
  readonly facts: Facts;
  /** `undefined` for grantsSome. */
  readonly destination: Destination | undefined;
  readonly resolved: readonly Ip[] | 'passed-on' | undefined;
}

function readQuestion(question: string): Question {
  const [asked = '', answer] = question.split(' = ');
  const [command, target = '', ...words] = asked.trim().split(' ');
  const passedOn = words[0] === 'passed-on';
  return {
    facts: factsOf(oneOf(COMMANDS, command), passedOn ? {} : pairs(words)),
    destination: target === '*' ? undefined : readDestination(target),
    resolved: passedOn
      ? 'passed-on'
      : answer?.split(' ').flatMap((text) => (text === '' ? [] : [parseIp(text)!])),
  };
}

function ask(policy: ReturnType<typeof compile>, question: string): Decision {
  const { facts, destination, resolved } = readQuestion(question);
  if (destination === undefined) return grantsSome(policy, facts, MACHINE);
  return decide(policy, facts, destination, resolved, MACHINE);
}

function show(decision: Decision): string {
  switch (decision.type) {
    case 'allow':
      return ['allow', decision.permit.rule.name, ...decision.permit.addresses.map(formatIp)].join(' ');
    case 'refuse': {
      const { reason, rule, address } = decision;
      return [reason, rule?.name, address && formatIp(address)]
        .filter((word) => word !== undefined)
        .join(' ');
    }
    case 'resolve':
      return `resolve ${decision.rule.name}`;
    default:
      return decision satisfies never;
  }
}

function readRule(text: string, index: number): RuleOptions {
  const [action, commands = '', ...words] = text.split(' ');
  const { to = [], listener, from, user, port, method, protocol, ...given } = lists(words);
  return {
    name: `#${index + 1}`,
    action: oneOf(['allow', 'deny'], action),
    ...(commands !== 'any' && { commands: commands.split(',').map((command) => oneOf(COMMANDS, command)) }),
    to,
    ...(listener && { listener }),
    ...(from && { from }),
    ...(user && { user }),
    ...(port && { port: port.map((range) => parsePortRange(range)!) }),
    ...(given['source-port'] && { sourcePort: given['source-port'].map((range) => parsePortRange(range)!) }),
    ...(method && { method: method.map((word) => oneOf(METHODS, word)) }),
    ...(protocol && { protocol: protocol.map((word) => oneOf(PROTOCOLS, word)) }),
    ...(given['when'] && { when: OFFICE_HOURS }),
    log: [],
    revoke: 'close',
  };
}

function factsOf(command: Command, given: Readonly<Record<string, string>>): Facts {
  return {
    listener: given['listener'] ?? 'office',
    client: parseIp(given['from'] ?? '10.0.0.5')!,
    sourcePort: Number(given['source-port'] ?? 50_000),
    protocol: oneOf(PROTOCOLS, given['protocol'] ?? 'socks5'),
    method: oneOf(METHODS, given['method'] ?? 'none'),
    ...(given['user'] !== undefined && { user: given['user'] }),
    groups: given['group'] === undefined ? [] : [given['group']],
    command,
    time: Date.parse(given['at'] ?? '2026-11-20T12:00Z'),
  };
}

function readDestination(text: string): Destination {
  const colon = text.lastIndexOf(':');
  const [host, port] = [text.slice(0, colon), Number(text.slice(colon + 1))];
  const ip = parseIp(host);
  return ip === undefined ? { type: 'name', name: host, port } : { type: 'ip', ip, port };
}

const COMMANDS: readonly Command[] = ['connect', 'bind', 'udp', 'resolve'];
const METHODS: readonly Method[] = ['none', 'password'];
const PROTOCOLS: readonly Protocol[] = ['socks4', 'socks5'];

function oneOf<T extends string>(words: readonly T[], text: string | undefined): T {
  const found = words.find((word) => word === text);
  assert.ok(found !== undefined, `${text} is none of ${words.join(', ')}`);
  return found;
}

const KEYS = new Set(['to', 'listener', 'from', 'user', 'port', 'source-port', 'method', 'protocol', 'when']);

function lists(words: readonly string[]): Record<string, string[]> {
  const found: Record<string, string[]> = {};
  let list: string[] = [];
  for (const word of words) {
    if (KEYS.has(word)) found[word] = list = [];
    else list.push(word);
  }
  return found;
}

function pairs(words: readonly string[]): Record<string, string> {
  return Object.fromEntries(words.flatMap((word, i) => (i % 2 === 0 ? [[word, words[i + 1]!]] : [])));
}
