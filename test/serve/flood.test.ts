import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { startGarter, type Garter } from '../support/garter.ts';
import { start } from '../support/process.ts';
import { Command, RawClient, request5 } from '../support/raw.ts';
import { startEcho, type Target } from '../support/targets.ts';

/** Connections that a flood opens in a second, and the addresses that it comes from. */
const PER_SECOND = 1000;
const ADDRESSES = 50;

/**
 * A process of its own, so that its work is not in the times that are measured. A third of its connections says nothing,
 * a third stops in the middle of a greeting, and a third guesses passwords; each is held until garter closes it.
 */
const FLOOD = `
  import { connect } from 'node:net';
  const [port, perSecond, addresses] = process.argv.slice(1).map(Number);
  const login = Buffer.concat([Buffer.of(5, 1, 2, 1, 5), Buffer.from('alice'), Buffer.of(6)]);
  let count = 0;
  let closed = 0;
  const one = () => {
    const i = count++;
    const socket = connect({ port, host: '127.0.0.1', localAddress: '127.0.1.' + (1 + (i % addresses)) });
    socket.on('error', () => {}).on('close', () => closed++).resume();
    if (i % 3 === 1) socket.write(Buffer.of(5, 2));
    if (i % 3 === 2) socket.write(Buffer.concat([login, Buffer.from(String(100000 + i))]));
  };
  const began = performance.now();
  setInterval(() => {
    const due = ((performance.now() - began) / 1000) * perSecond;
    while (count < due) one();
  }, 5);
  setTimeout(() => console.log('flooding'), 1000);
  process.on('SIGTERM', () => {
    console.log(count + ' opened, ' + closed + ' closed');
    process.exit(0);
  });
`;

/** Milliseconds that each of so many users waits for the first answer of the target, one after the other, sorted. */
async function times(garter: Garter, target: Target, count: number): Promise<number[]> {
  const all: number[] = [];
  for (let i = 0; i < count; i++) {
    const begun = performance.now();
    using client = await RawClient.connect(garter, `127.0.0.${2 + (i % 3)}`);
    client.send('05 01 02', '01 05', Buffer.from('alice'), '06', Buffer.from('secret'));
    client.send(request5(Command.connect, target.host, target.port), Buffer.from('x'));
    await client.expect('05 02  01 00  05 00 00');
    await client.read(7);
    await client.expect(Buffer.from('x'));
    all.push(performance.now() - begun);
  }
  return all.toSorted((a, b) => a - b);
}

test('users are served while strangers flood it from 50 addresses', async (t: TestContext) => {
  await using echo = await startEcho();
  await using garter = await startGarter({
    users: { alice: 'secret' },
    config: 'limits: { unauthenticated: 100:30:200 }\nrules: [{ allow: any, to: [loopback] }]',
  });
  await times(garter, echo, 300);
  const usual = await times(garter, echo, 300);
  await using flood = await start(
    [
      process.execPath,
      '--input-type=module',
      '-e',
      FLOOD,
      ...[garter.port, PER_SECOND, ADDRESSES].map(String),
    ],
    { ready: /flooding/ },
  );
  const flooded = await times(garter, echo, 300);
  flood.signal('SIGTERM');
  await flood.ended();
  t.diagnostic(
    `${middle(usual).toFixed(1)} ms as a rule, ${middle(flooded).toFixed(1)} ms under the flood ` +
      `(the slowest of 100: ${flooded[297]!.toFixed(1)} ms); of the flood ${flood.stdout().trim().split('\n').at(-1)}`,
  );
  // Every one was served; the figures are for people, as a machine that is busy otherwise would spoil them.
  assert.equal(flooded.length, 300);
  assert.ok(middle(flooded) < 1000, `${middle(flooded)} ms`);
  await garter.record({ end: 'limit:greeting:unauthenticated' });
});

function middle(all: readonly number[]): number {
  return all[all.length >> 1]!;
}
