import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';

/**
 * The file that defines the codes of each error class, and the heading under which docs/errors.md explains
 * them.
 */
const CLASSES: readonly (readonly [heading: string, file: string, codes: RegExp])[] = [
  ['WireError', 'wire/error.ts', /'(ERR_(?:SOCKS|HTTP)_\w+)'/g],
  ['ProxyError', 'client/error.ts', /'(ERR_PROXY_\w+)'/g],
  ['ConfigError', 'server.ts', /'(ERR_CONFIG)'/g],
  ['ResolveError', 'resolve/error.ts', /'(E[A-Z]+)'/g],
];

const read = (file: string): string => readFileSync(join(import.meta.dirname, file), 'utf8');
const page = read('../docs/errors.md');

suite('docs/errors.md lists exactly the codes that there are', () => {
  for (const [heading, file, pattern] of CLASSES) {
    test(heading, () => {
      const section = page.split(/^## /m).find((part) => part.startsWith(`${heading}\n`));
      assert.ok(section, `docs/errors.md has no section ${heading}`);
      const documented = [...section.matchAll(/^- `(\w+)`: \S/gm)].map(([, code]) => code);
      const thrown = [...read(file).matchAll(pattern)].map(([, code]) => code);
      assert.deepEqual(new Set(documented), new Set(thrown));
    });
  }
});
