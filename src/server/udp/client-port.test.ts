import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ClientPort } from './client-port.ts';
import type { Sender } from './client-port.ts';

/**
 * The declared port, whether it is certain, and the datagrams: port, milliseconds after the start, outcome.
 */
const rows: readonly (readonly [
  name: string,
  declared: number,
  isCertain: boolean,
  come: readonly (readonly [port: number, at: number, sender: Sender])[],
])[] = [
  [
    'without a declared port, another port shortly after is a conflict',
    0,
    false,
    [
      [7, 0, 'client'],
      [8, 20, 'conflict'],
    ],
  ],
  [
    'a burst of datagrams does not settle the port',
    0,
    false,
    [
      [7, 0, 'client'],
      [7, 1, 'client'],
      [7, 2, 'client'],
      [8, 20, 'conflict'],
    ],
  ],
  [
    'a second datagram, later, settles it',
    0,
    false,
    [
      [7, 0, 'client'],
      [7, 250, 'client'],
      [8, 260, 'stranger'],
      [7, 270, 'client'],
    ],
  ],
  [
    'a second of silence settles it too',
    0,
    false,
    [
      [7, 0, 'client'],
      [8, 1000, 'stranger'],
      [8, 1001, 'stranger'],
      [7, 1002, 'client'],
    ],
  ],
  ['port 0 is a stranger', 0, false, [[0, 0, 'stranger']]],
  [
    'a certain port is the only one',
    7,
    true,
    [
      [8, 0, 'stranger'],
      [7, 1, 'client'],
      [8, 2, 'stranger'],
    ],
  ],
  [
    'a declared port that sends first is settled',
    7,
    false,
    [
      [7, 0, 'client'],
      [8, 1, 'stranger'],
    ],
  ],
  [
    'a declared port that sends second is still the client',
    7,
    false,
    [
      [8, 0, 'client'],
      [7, 20, 'client'],
      [8, 21, 'stranger'],
    ],
  ],
  [
    'but not once another port is settled',
    7,
    false,
    [
      [8, 0, 'client'],
      [8, 300, 'client'],
      [7, 301, 'stranger'],
    ],
  ],
  [
    'a translated port and a third one are a conflict',
    7,
    false,
    [
      [8, 0, 'client'],
      [9, 20, 'conflict'],
    ],
  ],
];

for (const [name, declared, isCertain, come] of rows) {
  test(name, () => {
    const port = new ClientPort(declared, isCertain);
    for (const [from, at, sender] of come)
      assert.equal(port.claim(from, 5000 + at), sender, `${from} at ${at}`);
  });
}
