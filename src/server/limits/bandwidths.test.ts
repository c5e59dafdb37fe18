import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Pace } from '../../net/engine.ts';
import { compile } from '../../policy/compile.ts';
import { createLimitMemory, Limits } from '../../limits/limits.ts';
import type { LimitOptions, RuleOptions } from '../../policy/policy.ts';
import { admitsDatagram, Bandwidths, paceOf } from './bandwidths.ts';

function ruleOf(limit: LimitOptions = {}): RuleOptions {
  return { name: 'all', action: 'allow', to: ['any'], log: [], revoke: 'close', limit };
}

/** Bandwidths with this limit of the rule in force. */
function start(limit: LimitOptions = {}): Bandwidths {
  const bandwidths = new Bandwidths(new Limits(createLimitMemory([1, 2])));
  bandwidths.use(compile({ rules: [ruleOf(limit)] }));
  return bandwidths;
}

/** Takes as much as possible; returns the amount in a quarter of a second. */
async function taken(pace: Pace): Promise<number> {
  let bytes = 0;
  const source = {
    take: (most: number): number => {
      bytes += most;
      pace.ask(source);
      return most;
    },
  };
  pace.ask(source);
  await delay(250);
  pace.leave();
  return bytes;
}

test('a bandwidth that is removed and restored applies to old sessions and new ones', async () => {
  const bandwidths = start({ bandwidth: 1000 });
  const reload = (limit: LimitOptions): void => bandwidths.use(compile({ rules: [ruleOf(limit)] }));
  const flow = bandwidths.flows(ruleOf({ bandwidth: 1000 })).send;
  reload({});
  assert.ok((await taken(paceOf(flow)!)) > 1e6);
  reload({ bandwidth: 2000 });
  assert.ok((await taken(paceOf(flow)!)) < 2000);
  const young = bandwidths.flows(ruleOf({ bandwidth: 2000 })).send;
  while (admitsDatagram(flow, 100));
  assert.equal(admitsDatagram(young, 100), false, 'they share it');
});

test('a session that was allowed before a reload and begins after it does not restore the old rate', async () => {
  const bandwidths = start({ bandwidth: 1000 });
  bandwidths.flows(ruleOf({ bandwidth: 1_000_000 }));
  const { send } = bandwidths.flows(ruleOf({ bandwidth: 1000 }));
  assert.ok((await taken(paceOf(send)!)) < 1000);
});

test("a session keeps to its own bandwidth and its rule's, separately in each direction", async () => {
  for (const limit of [
    { bandwidth: 10_000, bandwidthPerSession: 1_000_000 },
    { bandwidth: 1_000_000, bandwidthPerSession: 10_000 },
    { bandwidthPerSession: 10_000 },
  ]) {
    const { send, receive } = start(limit).flows(ruleOf(limit));
    const bytes = await Promise.all([taken(paceOf(send)!), taken(paceOf(receive)!)]);
    for (const each of bytes) assert.ok(each >= 500 && each < 10_000, `${each} bytes`);
  }
});

test('without a bandwidth there is no pace, and datagrams pass', () => {
  const { send, receive } = start().flows(ruleOf());
  assert.equal(paceOf(send), undefined);
  assert.ok(admitsDatagram(receive, 65_507));
});
