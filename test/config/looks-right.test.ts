import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { prepare, run } from '../support/check.ts';
import { check } from '../support/process.ts';

// Configurations that look right and are not. A file is a comment, the command, the configuration, a line of dashes, and what
// garter check answers. After a wanted change, rewrite them with GOLDEN=write and read the difference.

const FOLDER = join(import.meta.dirname, 'looks-right');
const DASHES = '-'.repeat(72);

for (const name of readdirSync(FOLDER)) {
  test(name, async () => {
    const file = join(FOLDER, name);
    const [given = '', expected] = readFileSync(file, 'utf8').split(`${DASHES}\n`);
    const [, command = '', ...lines] = given.split('\n');
    await using prepared = await prepare(lines.join('\n'));
    if (given.includes('common-name.pem')) await makeCertificate(prepared.path);
    const { out, err } = await run(command.replace(/^check /, ''), prepared.file);
    const said = `${err}${out}`.replaceAll('FILE', 'garter.yaml').replaceAll(prepared.path, '/etc/garter');
    if (process.env.GOLDEN === 'write') await writeFile(file, `${given}${DASHES}\n${said}`);
    else assert.equal(said, expected);
  });
}

/** Without a subjectAltName. */
async function makeCertificate(folder: string): Promise<void> {
  const file = (end: string): string => join(folder, `common-name.${end}`);
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', file('key')];
  await check(['openssl', 'req', '-x509', ...key, '-subj', '/CN=proxy.example.org', '-out', file('pem')]);
}
