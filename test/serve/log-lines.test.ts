import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { reload, startGarter } from '../support/garter.ts';
import { until } from '../support/process.ts';
import { Command, RawClient, request5 } from '../support/raw.ts';
import { startEcho } from '../support/targets.ts';

/** The names of the fields in a sample of docs/records.md. */
function sampled(event: string): string[] {
  const docs = readFileSync(join(import.meta.dirname, '../../docs/records.md'), 'utf8');
  const sample = new RegExp(`^ {4}\\S+ \\w+ ${event}\\b.*`, 'gm').exec(docs)?.[0] ?? '';
  return [...sample.matchAll(/ (\w+)=/g)].map(([, name]) => name!);
}

/** A greeting and a login. */
function login(password: string): Buffer {
  return Buffer.from(`\x05\x01\x02\x01\x05alice${String.fromCharCode(password.length)}${password}`);
}

test('the lines of a server are like the samples in docs/records.md, those of a session with one id', async () => {
  await using echo = await startEcho();
  await using garter = await startGarter({
    config: 'rules: [{ name: all, allow: any, to: [loopback], log: [connect, disconnect, error] }]',
    users: { alice: 'secret' },
  });
  await reload(garter, (text) => text.replace('log: {', 'log: { interim: 300ms,'));
  using guesser = await RawClient.connect(garter);
  guesser.send(login('guess'));
  await guesser.expect('05 02 01 01');
  using client = await RawClient.connect(garter);
  client.send(login('secret'), request5(Command.connect, 'localhost', echo.port), Buffer.from('hello'));
  await client.expect('05 02 01 00 05 00 00 01');
  await client.read(6);
  await client.expect(Buffer.from('hello'));
  const interim = await until(
    async () => (await garter.log()).find(({ event, sent }) => event === 'interim' && sent === 5),
    () => 'no interim record',
  );
  client.end();
  await client.rest();
  const record = await garter.record({ id: interim.id!, end: 'client:relay' });
  assert.deepEqual([record.sent, record.received], [5, 5]);
  const failed = await garter.record({ end: 'policy:auth:wrong' });

  const lines = await garter.log();
  for (const event of ['started', 'reloaded', 'login-failed', 'connect', 'interim', 'disconnect']) {
    const names = Object.keys(lines.find((line) => line.event === event) ?? {});
    assert.deepEqual(
      names.filter((name) => !['time', 'level', 'event', 'message'].includes(name)),
      sampled(event),
    );
  }
  const { id, client: from } = lines.find(({ event }) => event === 'login-failed')!;
  assert.deepEqual([id, from], [failed.id, failed.client]);
  assert.partialDeepStrictEqual(
    lines.find(({ event }) => event === 'started'),
    { users: 1, workers: 1 },
  );
});
