import { Reassembly } from '../../../src/wire/reassembly.ts';
import { Draw } from '../draw.ts';
import { hex, same } from '../target.ts';
import type { Target } from '../target.ts';

const TIMEOUT = 5000;
const LARGEST = 65_507;

export const targets: readonly Target[] = [
  {
    name: 'reassembly',
    testRuns: 6000,
    seeds: [
      '01 00 00 0001 61 02 00 00 0001 62 83 00 00 0001 63',
      '01 00 00 8000 61 82 00 00 7fe4 62',
      '01 00 00 0001 61 01 01 00 0001 62 82 01 51 0001 63',
    ].map(hex),
    run(input) {
      const draw = new Draw(input);
      const reassembly = new Reassembly();
      const expected = new Sequence();
      let now = 0;
      let wholes = 0;
      for (let steps = 0; steps < 300 && !draw.isOver; steps++) {
        const frag = draw.byte();
        const destination = draw.pick(['a:1', 'b:2', '']);
        now += draw.byte() * 64;
        const data = new Uint8Array(draw.word()).fill(draw.byte());
        const whole = reassembly.add(frag, destination, data, now);
        same('the datagram is made of its fragments', whole, expected.add(frag, destination, data, now));
        if (whole !== undefined) wholes++;
      }
      return `${Math.min(wholes, 5)} datagrams`;
    },
  },
];

/** A second implementation of RFC 1928 section 7. */
class Sequence {
  #parts: Uint8Array[] = [];
  #destination = '';
  #startedAt = 0;

  add(frag: number, destination: string, data: Uint8Array, now: number): Uint8Array | undefined {
    const position = frag % 128;
    if (now > this.#startedAt + TIMEOUT) this.#parts = [];
    const isSame = this.#parts.length > 0 && this.#destination === destination;
    if (isSame && position === this.#parts.length) return undefined;
    if (!isSame || position !== this.#parts.length + 1) {
      this.#parts = [];
      if (position !== 1) return undefined;
      this.#destination = destination;
      this.#startedAt = now;
    }
    this.#parts.push(data);
    const whole = Buffer.concat(this.#parts);
    if (whole.length > LARGEST) {
      this.#parts = [];
      return undefined;
    }
    if (frag < 128) return undefined;
    this.#parts = [];
    return Uint8Array.from(whole);
  }
}
