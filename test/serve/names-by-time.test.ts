import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { makeDirectory } from '../support/directory.ts';
import { startGarter } from '../support/garter.ts';
import { hashOf } from '../support/hash.ts';
import { RawClient } from '../support/raw.ts';

const ROUNDS = 7;
/** A busy machine can delay one kind. */
const TRIES = 3;

test('a refusal takes as long for a cheap hash, an expensive one, an expired user and an unknown user', async (t: TestContext) => {
  await using directory = await makeDirectory();
  const file = join(directory.path, 'users.txt');
  const [cheap, dear] = [hashOf(1024, 1), hashOf(65_536, 1)];
  const names = Array.from({ length: ROUNDS * TRIES }, (_, i) => i);
  const lines = names.map(
    (i) => `cheap${i}:${cheap}\ndear${i}:${dear}\nexpired${i}:${cheap}::expires=2020-01-01\n`,
  );
  await writeFile(file, lines.join(''), { mode: 0o600 });
  await using garter = await startGarter({ config: `users: { file: ${file} }` });
  const refused = async (user: string, password: string, from: string): Promise<number> => {
    using client = await RawClient.connect(garter, from);
    const [name, secret] = [Buffer.from(user), Buffer.from(password)];
    client.send('05 01 02');
    await client.expect('05 02');
    const begun = performance.now();
    client.send(Buffer.of(1, name.length), name, Buffer.of(secret.length), secret);
    await client.expect('01 01');
    return performance.now() - begun;
  };
  const kinds = { cheap: 'wrong', dear: 'wrong', expired: 'secret', unknown: 'wrong' };
  await refused('dear0', 'first', '127.0.9.9');
  const measure = async (tried: number): Promise<string | undefined> => {
    const times = new Map(Object.keys(kinds).map((kind) => [kind, [] as number[]]));
    for (const i of names.slice(tried * ROUNDS, (tried + 1) * ROUNDS)) {
      for (const [kind, password] of Object.entries(kinds))
        times.get(kind)!.push(await refused(`${kind}${i}`, password, `127.0.1.${1 + i}`));
    }
    const middle = (kind: string): number => times.get(kind)!.toSorted((a, b) => a - b)[ROUNDS >> 1]!;
    t.diagnostic([...times.keys()].map((kind) => `${kind} ${middle(kind).toFixed(0)} ms`).join(', '));
    return [...times.keys()]
      .map((kind) => [kind, middle(kind) / middle('dear')] as const)
      .filter(([, ratio]) => ratio <= 0.9 || ratio >= 1.1)
      .map(([kind, ratio]) => `${kind}: ${ratio.toFixed(2)} of the time of a dear hash`)[0];
  };
  let fault: string | undefined;
  for (let tried = 0; tried < TRIES; tried++) if ((fault = await measure(tried)) === undefined) return;
  assert.fail(fault);
});
