import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { Bandwidth } from './bandwidth.ts';

suite('Bandwidth', () => {
  test('a tenth of a second is free after a rest, then bytes are spread evenly', () => {
    const bandwidth = new Bandwidth(1_000_000);
    assert.equal(bandwidth.spend(100_000, 5000), 0);
    assert.equal(bandwidth.spend(50_000, 5000), 50);
    assert.equal(bandwidth.spend(1000, 5050), 1);
    assert.equal(bandwidth.spend(0, 5051), 0);
  });

  test('a long rest saves no more than a tenth of a second', () => {
    const bandwidth = new Bandwidth(1000);
    bandwidth.spend(1, 0);
    assert.equal(bandwidth.spend(1100, 3_600_000), 1000);
  });

  test('those who share it get the whole of it, and no more', () => {
    const bandwidth = new Bandwidth(1_000_000);
    const passed = [0, 0, 0];
    const next = [0, 0, 0];
    for (let now = 0; now < 10_000; now++) {
      for (const [i, time] of next.entries()) {
        if (time > now) continue;
        passed[i]! += 65_536;
        next[i] = now + bandwidth.spend(65_536, now);
      }
    }
    const all = passed.reduce((sum, bytes) => sum + bytes);
    assert.ok(Math.abs(all - 10_000_000) < 400_000, `${all} bytes in 10 s`);
    assert.ok(Math.max(...passed) - Math.min(...passed) <= 2 * 65_536, passed.join(' '));
  });

  test('datagrams pass while there is room', () => {
    const bandwidth = new Bandwidth(1000);
    const passed = Array.from({ length: 2000 }, (_, now) => {
      if (!bandwidth.isFree(now)) return false;
      bandwidth.spend(100, now);
      return true;
    });
    const bytes = passed.filter((passes) => passes).length * 100;
    assert.ok(bytes >= 2000 && bytes <= 2200, `${bytes} bytes in 2 s`);
  });

  test('another rate holds from now on', () => {
    const bandwidth = new Bandwidth(1000);
    assert.equal(bandwidth.spend(1000, 1000), 900);
    bandwidth.rate = 10_000;
    assert.equal(bandwidth.spend(1000, 2000), 0);
    assert.equal(bandwidth.spend(1000, 2000), 100);
  });
});
