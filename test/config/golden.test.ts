import assert from 'node:assert/strict';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { parseConfig } from '../../src/config/load.ts';
import { formatProblems } from '../../src/config/source/problem.ts';

// Each file contains a configuration, a line of dashes, and the expected problems or settings. After an
// intended change, rewrite them with GOLDEN=write and review the difference.

const DASHES = '-'.repeat(72);
const ENVIRONMENT = {
  LAN: '10.0.0.0/8',
  BAD_NETWORK: '10.0.0.1/8',
  ALICE_PASSWORD: 'correct horse',
  LONG: 'hunter2'.repeat(20),
  QUOTED: 'hunter2"\\',
  CUT: 'hunter2"'.repeat(10),
  EMPTY: '',
  ALICE: 'alice',
  HOST: '10.0.3.2',
  SLASH: 'hunter2/',
  HASH: '1#hunter2',
  UPSTREAM: 'socks5h://alice:hunter2@10.0.3.1',
};

for (const name of readdirSync(import.meta.dirname).filter((one) => one.endsWith('.txt'))) {
  test(name, () => {
    const file = join(import.meta.dirname, name);
    const [config = '', expected] = readFileSync(file, 'utf8').split(`${DASHES}\n`);
    const said = outcome(config);
    if (process.env.GOLDEN === 'write') writeFileSync(file, `${config}${DASHES}\n${said}`);
    else assert.equal(said, expected);
    assert.doesNotMatch(said, /hunter2/, 'a password is shown');
  });
}

function outcome(config: string): string {
  const { settings, errors, warnings } = parseConfig(config, 'garter.yaml', {}, ENVIRONMENT);
  const problems = formatProblems(errors, 'error') + formatProblems(warnings, 'warning');
  if (settings === undefined) return problems;
  return `${problems}${inspect(settings, { depth: Infinity, breakLength: 100 }).replaceAll(process.cwd(), '.')}\n`;
}
