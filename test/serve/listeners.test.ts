import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reload, startGarter, type Garter } from '../support/garter.ts';
import { until } from '../support/process.ts';
import { Command, RawClient, replyCode, request5, works } from '../support/raw.ts';
import { startEcho } from '../support/targets.ts';

/** The ports in the order of the listeners. */
async function portsOf(garter: Garter, count: number): Promise<readonly number[]> {
  return until(
    async () => {
      const told = garter.process.stdout().matchAll(/^garter listening on \S+:(\d+)$/gm);
      const ports = Array.from(told, ([, port]) => Number(port));
      return ports.length === count ? ports : undefined;
    },
    () => garter.process.stdout(),
  );
}

test('accept rules, rules and routes by listener', async () => {
  await using echo = await startEcho();
  await using far = await startGarter({ config: 'rules: [{ allow: any, to: [loopback] }]' });
  await using garter = await startGarter({
    listener: [
      'name: office',
      `\n  - { name: guests, address: "127.0.0.1:0" }`,
      `\n  - { name: closed, address: "127.0.0.1:0" }`,
    ],
    config: `
accept:
  - { name: open, allow: true, listener: [office, guests] }
rules:
  - { name: no-guests, deny: any, listener: guests, to: [any], port: [${echo.port}] }
  - { name: all, allow: any, to: [any, loopback] }
routes:
  - { listener: office, to: [any], via: "socks5://127.0.0.1:${far.port}" }
  - { to: [any], via: direct }`,
  });
  const [office, guests, closed] = (await portsOf(garter, 3)).map((port) => ({ host: '127.0.0.1', port }));
  await works(office!, echo);
  await garter.record({ rule: 'all', route: `socks5://127.0.0.1:${far.port}` });
  assert.equal(await replyCode(guests!, request5(Command.connect, '127.0.0.1', echo.port)), 2);
  await garter.record({ rule: 'no-guests', end: 'policy:request:rule' });
  {
    using client = await RawClient.connect(closed!);
    await client.gone();
    await garter.record({ end: 'policy:accept:no-rule' });
  }
  using open = await RawClient.connect(office!);
  open.send('05 01 00', request5(Command.connect, '127.0.0.1', echo.port));
  await open.expect('05 00 05 00 00');
  // A renamed listener keeps its sessions where the rules follow it.
  await reload(garter, (text) => text.replaceAll('office', 'staff'));
  await works(office!, echo);
  assert.equal((await garter.records()).filter(({ end }) => end === 'policy:relay:revoked').length, 0);
  // Without its rule it ends.
  await reload(garter, (text) => text.replace('listener: [staff, guests]', 'listener: guests'));
  await open.gone();
  await garter.record({ end: 'policy:relay:revoked' });
});
