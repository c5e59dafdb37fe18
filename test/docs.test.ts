import assert from 'node:assert/strict';
import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { suite, test } from 'node:test';

const ROOT = join(import.meta.dirname, '..');
/** What the comparison writes. */
const GENERATED = 'bench/out/';
const PAGES = [
  ...readdirSync(ROOT).filter((name) => name.endsWith('.md')),
  ...readdirSync(join(ROOT, 'docs')).map((name) => `docs/${name}`),
];

suite('what the documentation points to is there', () => {
  for (const page of PAGES) {
    test(page, () => {
      const text = readFileSync(join(ROOT, page), 'utf8');
      const files = [...text.matchAll(/`((?:src|test|bench|contrib|runtime|bin)\/[\w*./-]+)`/g)].map(
        ([, path]) => path!,
      );
      const missing = files.filter(
        (path) => !path.startsWith(GENERATED) && globSync(path, { cwd: ROOT }).length === 0,
      );
      const links = [...text.matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, path]) => path!);
      missing.push(...links.filter((path) => !existsSync(join(ROOT, dirname(page), path))));
      assert.deepEqual(missing, []);
    });
  }
});
