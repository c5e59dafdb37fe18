import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compile } from '../policy/compile.ts';
import { createLimitMemory, Limits } from '../policy/limits.ts';
import type { RuleOptions } from '../policy/policy.ts';
import { Bandwidths, paceOf } from './bandwidths.ts';

function ruleOf(bandwidth?: number): RuleOptions {
  const limit = bandwidth === undefined ? {} : { bandwidth };
  return { name: 'all', action: 'allow', to: ['any'], log: [], revoke: 'close', limit };
}

test('a bandwidth that is taken away and put back holds for those who had it, and those who come', () => {
  const bandwidths = new Bandwidths(new Limits(createLimitMemory([1, 2])));
  const reload = (bandwidth?: number): void => bandwidths.use(compile({ rules: [ruleOf(bandwidth)] }));
  const old = paceOf(bandwidths.flows(ruleOf(1000)).send)!;
  reload();
  assert.equal(old(1e6), 0);
  reload(2000);
  assert.ok(old(2000) > 0);
  const young = paceOf(bandwidths.flows(ruleOf(2000)).send)!;
  assert.ok(young(1) > 800, 'they share it');
});
