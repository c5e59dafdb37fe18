import assert from 'node:assert/strict';
import { after, suite, test } from 'node:test';
import { inspect } from 'node:util';
import { readCorpus } from './corpus.ts';
import { CoverageReader } from './coverage.ts';
import { Fuzzer } from './fuzzer.ts';
import { sized } from '../support/size.ts';
import { Random } from './random.ts';
import { loadTargets } from './targets.ts';

const SEED = 1928;

const reader = new CoverageReader();
after(() => reader[Symbol.dispose]());
const targets = await loadTargets();

suite(`a little fuzzing, seed ${SEED}`, () => {
  for (const target of targets) {
    test(target.name, async () => {
      const fuzzer = new Fuzzer(target, reader, new Random(SEED));
      await fuzzer.adopt([...target.seeds, ...readCorpus(target.name)]);
      await fuzzer.fuzz(({ runs }) => runs >= sized(target.testRuns, target.testRuns / 10));
      const finds = [...fuzzer.finds.values()].map(({ error, input }) => {
        return `${Buffer.from(input).toString('hex')}\n${inspect(error)}`;
      });
      assert.deepEqual(finds, []);
    });
  }
});
