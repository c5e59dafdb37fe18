import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { Bandwidth } from './bandwidth.ts';

suite('Bandwidth', () => {
  test('a twentieth of a second is free after a rest, then bytes are spread evenly', () => {
    const bandwidth = new Bandwidth(1_000_000);
    assert.equal(bandwidth.reserve(50_000, 5000), 4950);
    assert.equal(bandwidth.reserve(50_000, 5000), 5000);
    assert.equal(bandwidth.reserve(1000, 5000), 5050);
    assert.equal(bandwidth.reserve(1000, 5000), 5051);
  });

  test('a longer rest saves no more', () => {
    const bandwidth = new Bandwidth(1000);
    bandwidth.reserve(1, 0);
    bandwidth.reserve(1050, 3_600_000);
    assert.equal(bandwidth.reserve(1, 3_600_000), 3_601_000);
  });

  test('returned bytes are free for the next, and are not saved for later', () => {
    const bandwidth = new Bandwidth(1000);
    bandwidth.reserve(1000, 5000);
    bandwidth.giveBack(900, 5000);
    assert.equal(bandwidth.reserve(100, 5000), 5050);
    bandwidth.giveBack(100, 9000);
    assert.equal(bandwidth.reserve(1, 9000), 8950);
  });

  test('datagrams pass while there is room', () => {
    const bandwidth = new Bandwidth(1000);
    const bytes = passedOf(bandwidth, 2000);
    assert.ok(bytes >= 2000 && bytes <= 2300, `${bytes} bytes in 2 s`);
  });

  for (const size of [100, 1000, 10_000]) {
    test(`datagrams of ${size} bytes and streams that need all of the bandwidth get half each`, () => {
      const bandwidth = new Bandwidth(10_000);
      bandwidth.count(1, 1000);
      let streams = 0;
      let from = 0;
      const datagrams = passedOf(
        bandwidth,
        20_000,
        (now) => {
          // Like a thread: it reserves again once it can use its reservation.
          for (; from <= now; streams += 500) from = bandwidth.reserve(500, now);
        },
        size,
      );
      const passed = `${datagrams} and ${streams} bytes in 20 s`;
      assert.ok(Math.abs(datagrams + streams - 200_000) < 12_000, passed);
      assert.ok(streams > 90_000 && datagrams > 80_000, passed);
      bandwidth.forget(21_000);
      assert.ok(bandwidth.isFree(21_000));
    });
  }

  test('a new rate applies at once', () => {
    const bandwidth = new Bandwidth(1000);
    assert.equal(bandwidth.reserve(1000, 1000), 950);
    bandwidth.rate = 10_000;
    assert.equal(bandwidth.reserve(1000, 2000), 1950);
    assert.equal(bandwidth.reserve(1000, 2000), 2050);
    bandwidth.forget(2000);
    assert.equal(bandwidth.reserve(1000, 2000), 2000);
  });
});

/** Bytes of datagrams that pass, one sent each millisecond. */
function passedOf(
  bandwidth: Bandwidth,
  milliseconds: number,
  others: (now: number) => void = () => {},
  size = 100,
): number {
  let bytes = 0;
  for (let now = 1000; now < 1000 + milliseconds; now++) {
    others(now);
    if (!bandwidth.isFree(now)) continue;
    bandwidth.pass(size, now);
    bytes += size;
  }
  return bytes;
}
