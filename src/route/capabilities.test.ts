import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { Command } from '../policy/policy.ts';
import { ableTo } from './capabilities.ts';
import type { ServerOptions, UpstreamOptions } from './options.ts';

const server = (
  label: string,
  protocol: ServerOptions['protocol'],
  more: Partial<ServerOptions> = {},
): ServerOptions => ({
  type: 'server',
  label,
  protocol,
  passesNames: true,
  at: { host: 'a.test', port: 1080 },
  ...more,
});
const group = (...members: readonly UpstreamOptions[]): UpstreamOptions => ({
  type: 'group',
  label: 'group',
  members: members.map((upstream) => ({ upstream, weight: 1 })),
  choose: 'order',
  health: { fail: 1 },
  tries: 3,
});
const chain = (...hops: readonly UpstreamOptions[]): UpstreamOptions => ({
  type: 'chain',
  label: 'chain',
  hops,
});

const five = server('5', 'socks5');
const four = server('4', 'socks4');
const http = server('h', 'http');
const secret = server('t', 'socks5', { tls: {} });
const open = server('u', 'socks5', { tls: {}, udp: 'clear' });

/** The remaining upstream, as text. */
function told(upstream: UpstreamOptions | undefined): string {
  switch (upstream?.type) {
    case 'group':
      return `(${upstream.members.map((member) => told(member.upstream)).join('|')})`;
    case 'chain':
      return upstream.hops.map(told).join('>');
    default:
      return upstream?.label ?? '';
  }
}

const rows: readonly (readonly [UpstreamOptions, Partial<Record<Command, string>>])[] = [
  [five, { connect: '5', bind: '5', udp: '5', resolve: '5' }],
  [four, { connect: '4', bind: '4', udp: '', resolve: '' }],
  [http, { connect: 'h', bind: '', udp: '', resolve: '' }],
  [secret, { connect: 't', bind: 't', udp: '', resolve: 't' }],
  [group(http, four, five), { connect: '(h|4|5)', bind: '(4|5)', udp: '(5)', resolve: '(5)' }],
  [group(http, http), { bind: '' }],
  [chain(http, five), { bind: 'h>5', udp: '', resolve: 'h>5' }],
  [chain(five, http), { connect: '5>h', bind: '', udp: '', resolve: '' }],
  [
    chain(group(http, five), group(four, five)),
    { bind: '(h|5)>(4|5)', udp: '(5)>(5)', resolve: '(h|5)>(5)' },
  ],
  [open, { udp: 'u' }],
  [chain(five, secret), { udp: '' }],
  [chain(open, five), { udp: 'u>5' }],
  [{ ...chain(five, group(secret, four)), udp: 'clear' }, { udp: '5>(t)' }],
];

suite('the part of an upstream that can carry', () => {
  for (const [way, left] of rows) {
    for (const command of ['connect', 'bind', 'udp', 'resolve'] as const) {
      const expected = left[command];
      if (expected === undefined) continue;
      test(`${command}: ${told(way)}${way.udp === undefined ? '' : ', in clear,'} leaves ${expected || 'nothing'}`, () => {
        assert.equal(told(ableTo(command, way)), expected);
      });
    }
  }
});
