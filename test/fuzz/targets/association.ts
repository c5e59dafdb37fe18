import { OwnPorts } from '../../../src/server/listen/own-ports.ts';
import { addressOf } from '../../../src/wire/address.ts';
import { encodeUdpHeader } from '../../../src/wire/udp.ts';
import { CLIENT, HOSTS, RELAY, Scene } from '../association-scene.ts';
import { Draw } from '../draw.ts';
import { hex } from '../target.ts';
import type { Target } from '../target.ts';

const DESTINATIONS = [
  '203.0.113.1 203.0.113.2 203.0.113.13 2001:db8::1 ::ffff:203.0.113.2 ::ffff:203.0.113.13 127.0.0.1',
  `169.254.169.254 ${RELAY} ${CLIENT} 0.0.0.0 A.Test nowhere.test ${Object.keys(HOSTS).join(' ')}`,
].flatMap((line) => line.split(' '));
const PEERS = ['203.0.113.1', '203.0.113.2', '2001:db8::1', '203.0.113.99'];
const PORTS = [1000, 1001, 53, 0, 40_000];
const STRANGERS = ['198.51.100.8', '::1'];

/** Shared by all runs: it reads the addresses of the machine, which takes longer than a run. */
const ports = new OwnPorts();

export const targets: readonly Target[] = [
  {
    name: 'association',
    testRuns: 4000,
    seeds: [
      '0000 00 03616263 0000 00 00 04 05 0000 026869',
      '0101 00 026162 0300 01 00 04 05 0200 026869 06 00 026162 0300 01 00',
      '0000 00 0161 0000 07 00 00 0162 0000 06 00 04',
      '0000 01 0b 00000001cb00710103e861 00 04',
      '0000 02 03616161 00 03 01 00 0161 0000 00 00 04',
      '0000 07 0f 0a00 00 0a00 01 0b00 02 0d00 00 04',
    ].map(hex),
    tokens: ['00000001cb00710103e8', '0000000306612e7465737403e8', '0000000420010db8'].map(hex),
    async run(input) {
      const draw = new Draw(input);
      const scene = new Scene(draw.pick(['peers', 'any'] as const), draw.pick([0, 5000]), ports);
      const association = await scene.open();
      try {
        for (let i = 0; i < 100 && !draw.isOver; i++) await step(scene, draw);
        await scene.settle();
        scene.check(association);
      } finally {
        association.close();
        await scene.settle();
      }
      scene.checkEnd(association);
      const reasons = Object.entries(association.counts).filter(([, count]) => count > 0);
      const isAnswered = association.received > 0;
      return [...reasons.map(([reason]) => reason), scene.engine.sockets.length, isAnswered].join(' ');
    },
  },
];

async function step(scene: Scene, draw: Draw): Promise<void> {
  const data = (): Uint8Array => draw.bytes(draw.below(64));
  switch (draw.below(8)) {
    case 0:
      return scene.hear(headed(draw, data()), { host: CLIENT, port: draw.pick([5000, 5000, 5001]) });
    case 1:
      return scene.hear(data(), { host: CLIENT, port: draw.pick([5000, 5000, 5001]) });
    case 2:
      return scene.hear(data(), { host: draw.pick(STRANGERS), port: 5000 });
    case 3:
      scene.engine.isExhausted = draw.chance();
      return undefined;
    case 4:
      return scene.settle();
    case 5:
      return scene.answer(data(), { host: draw.pick(PEERS), port: draw.pick(PORTS) });
    case 6:
      return scene.reload();
    default:
      for (let i = draw.below(80); i >= 0; i--)
        scene.hear(headed(draw, Uint8Array.of(i)), { host: CLIENT, port: 5000 });
      return undefined;
  }
}

/** A datagram in the form that a client sends. */
function headed(draw: Draw, data: Uint8Array): Uint8Array {
  const address = addressOf(draw.pick(DESTINATIONS), draw.pick(PORTS));
  const fragment = draw.pick([0, 0, 0, 0, 1, 2, 0x82, 0x81]);
  return Buffer.concat([encodeUdpHeader({ fragment, address }), data]);
}
