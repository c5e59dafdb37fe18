import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { Log } from '../../audit/log.ts';
import { type Holder, MemoryWatch } from './memory.ts';

suite('the watch over memory', () => {
  const folder = mkdtempSync(join(tmpdir(), 'garter-memory-'));
  after(() => rmSync(folder, { recursive: true }));

  /** A watch over a machine with this memory use and this number of connections. */
  function watch(
    name: string,
    {
      limit = 1,
      threads = 1,
      holders = [] as readonly Holder[],
      forget = (_bytes: number): number => 0,
    } = {},
  ): {
    readonly machine: { use: number | undefined; open: number; now: number };
    readonly memory: MemoryWatch;
    readonly log: Log;
    readonly file: string;
  } {
    const file = join(folder, name);
    const log = new Log({ level: 'info', format: 'text', to: [{ file }] });
    const machine: { use: number | undefined; open: number; now: number } = { use: 0.5, open: 1000, now: 0 };
    const open = {
      get size() {
        return machine.open;
      },
      [Symbol.iterator]: () => holders.values(),
    };
    const memory = new MemoryWatch(limit, open, log, {
      forget,
      use: () => (machine.use === undefined ? undefined : { share: machine.use, of: limit / threads }),
      now: () => machine.now,
    });
    return { machine, memory, log, file };
  }

  test('the cap is a tenth below the open connections, falls again while memory stays short, and is lifted at last', async () => {
    const { machine, memory, log, file } = watch('sheds');
    using _ = memory;
    memory.look();
    assert.equal(memory.cap, Infinity);
    machine.use = 1.1;
    memory.look();
    assert.equal(memory.cap, 900);
    memory.look();
    assert.equal(memory.cap, 900, 'nobody has left yet');
    machine.open = 880;
    memory.look();
    assert.equal(memory.cap, 792);
    machine.use = 0.97;
    memory.look();
    assert.equal(memory.cap, 792, 'too close to the limit');
    machine.use = 0.9;
    memory.look();
    assert.equal(memory.cap, Infinity);
    await log.close();
    const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1);
    assert.match(lines[0]!, /warn memory-short: memory is short.* open=1000/);
    assert.match(lines[1]!, /info memory-sufficient: memory is sufficient again/);
    assert.equal(lines.length, 2);
  });

  test('the cap never falls below a minimum', () => {
    const { machine, memory } = watch('least');
    using _ = memory;
    machine.use = 2;
    for (machine.open = 1000; machine.open > 0; machine.open--) memory.look();
    assert.equal(memory.cap, 16);
  });

  test('the sessions that hold the most are ended, until enough is freed', () => {
    const MIB = 1 << 20;
    const ended: number[] = [];
    const holders = [1, 50, 2, 0, 40, 30].map((size) => ({ held: size * MIB, shed: () => ended.push(size) }));
    const { machine, memory } = watch('holders', { limit: 1000 * MIB, holders });
    using _ = memory;
    memory.look();
    assert.deepEqual(ended, []);
    machine.use = 1.03; // 80 MiB above the relief level
    memory.look();
    assert.deepEqual(ended, [50, 40]);
    holders.splice(0, 3);
    ended.length = 0;
    machine.use = 2;
    memory.look();
    assert.deepEqual(ended, [], 'nobody knows yet what has come of it');
    machine.now += 2001;
    memory.look();
    assert.deepEqual(ended, [40, 30], 'all but those who hold next to nothing');
  });

  test('forgetting comes before ending sessions', () => {
    const MIB = 1 << 20;
    const ended: number[] = [];
    const holders = [50, 40].map((size) => ({ held: size * MIB, shed: () => ended.push(size) }));
    const asked: number[] = [];
    const forget = (bytes: number): number => {
      asked.push(Math.round(bytes / MIB));
      return Math.min(bytes, 65 * MIB);
    };
    const { machine, memory } = watch('forgets', { limit: 1000 * MIB, holders, forget });
    using _ = memory;
    machine.use = 1.01;
    memory.look();
    assert.deepEqual([asked, ended], [[60], []]);
    machine.use = 1.03;
    machine.now += 2001;
    memory.look();
    assert.deepEqual([asked, ended], [[60, 80], [50]]);
  });

  test('threads that share the memory each free a part', () => {
    const MIB = 1 << 20;
    const ended: number[] = [];
    const holders = [50, 40, 30].map((size) => ({ held: size * MIB, shed: () => ended.push(size) }));
    const { machine, memory } = watch('threads', { limit: 1000 * MIB, threads: 2, holders });
    using _ = memory;
    machine.use = 1.03;
    memory.look();
    assert.deepEqual(ended, [50]);
  });

  test('nothing changes when the use is unknown', () => {
    const { machine, memory } = watch('unknown');
    using _ = memory;
    machine.use = 2;
    memory.look();
    machine.use = undefined;
    memory.look();
    assert.equal(memory.cap, 900);
  });
});
