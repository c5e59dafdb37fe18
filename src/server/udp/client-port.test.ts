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
    'nothing is declared: another port at once is a conflict',
    0,
    false,
    [
      [7, 0, 'client'],
      [8, 20, 'conflict'],
    ],
  ],
  [
    'datagrams in one go settle nothing',
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
    'so does a second of silence',
    0,
    false,
    [
      [7, 0, 'client'],
      [8, 1000, 'stranger'],
      [8, 1001, 'stranger'],
      [7, 1002, 'client'],
    ],
  ],
  ['port 0 is nobody', 0, false, [[0, 0, 'stranger']]],
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
    'a declared port that speaks first is settled',
    7,
    false,
    [
      [7, 0, 'client'],
      [8, 1, 'stranger'],
    ],
  ],
  [
    'a declared port that speaks second is the client after all',
    7,
    false,
    [
      [8, 0, 'client'],
      [7, 20, 'client'],
      [8, 21, 'stranger'],
    ],
  ],
  [
    'but not once another is settled',
    7,
    false,
    [
      [8, 0, 'client'],
      [8, 300, 'client'],
      [7, 301, 'stranger'],
    ],
  ],
  [
    'a translated port and a third one: a conflict',
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
