import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { until } from '../../test/support/process.ts';
import type { Connection, ConnectOptions, Engine } from '../net/engine.ts';
import { Spare } from '../limits/spare.ts';
import { Checks } from './checks.ts';
import type { MemberOptions, RouteOptions } from './options.ts';
import { Outbound } from './outbound.ts';

for (const { spare, atOnce } of [
  { spare: 100, atOnce: 16 },
  { spare: 3, atOnce: 4 },
  { spare: 0, atOnce: 1 },
]) {
  test(`40 silent servers, ${spare} spare descriptors: ${atOnce} are checked at a time, each in turn`, async () => {
    const asked = new Set<unknown>();
    let [open, most] = [0, 0];
    const connect = async (to: object, { signal }: ConnectOptions): Promise<Connection> => {
      asked.add((to as { readonly host: string }).host);
      most = Math.max(most, ++open);
      await delay(5, undefined, { signal: signal as AbortSignal }).catch(() => {});
      open--;
      throw Object.assign(new Error('silent'), { code: 'ETIMEDOUT' });
    };
    const members = Array.from({ length: 40 }, (_, i): MemberOptions => {
      const at = { host: `192.0.2.${i + 1}`, port: 1080 };
      return {
        upstream: { type: 'server', label: at.host, protocol: 'socks5', passesNames: true, at },
        weight: 1,
      };
    });
    const health = { fail: 2, check: { every: 10, recover: 1 } };
    const route: RouteOptions = {
      name: 'all',
      label: 'all',
      to: ['any'],
      resolvesHere: false,
      via: { type: 'group', label: 'g', members, choose: 'order', health, tries: 3 },
    };
    const budget = new Spare(spare);
    using outbound = new Outbound(
      {
        engine: { connect } as unknown as Engine,
        spare: budget,
        isOwnPort: () => false,
      },
      { routes: [route], resolve: { family: 'any', timeout: 1000 }, policy: {} },
    );
    const checks = new Checks(outbound, budget);
    while (asked.size < 40) await delay(5);
    checks.close();
    assert.equal(most, atOnce);
    await until(
      () => budget.take(spare),
      () => 'a spare descriptor is not given back',
    );
  });
}
