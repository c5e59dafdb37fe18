import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { makeDirectory } from './support/directory.ts';
import type { Directory } from './support/directory.ts';
import { check, run } from './support/process.ts';

const ROOT = join(import.meta.dirname, '..');
const TSC = join(ROOT, 'node_modules/.bin/tsc');
const ENTRIES = ['client', 'server', 'wire'];

/** A strict program that uses the package, with the types of Node and of no other package. */
const CONSUMER = {
  compilerOptions: {
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    skipLibCheck: false,
    noEmit: true,
    target: 'esnext',
    module: 'nodenext',
    types: ['node'],
    typeRoots: [join(ROOT, 'node_modules/@types')],
  },
  include: ['*.ts'],
};

/** Names each public type, and checks the type of configurations. */
const TYPES = `
import { ConfigError, createServer } from 'garter/server';
import type * as face from 'garter/server';

const host: string | undefined = process.env.HOST;
export const config: face.ServerConfig = {
  listen: [{ address: host ?? '127.0.0.1:1080', udp: undefined } satisfies face.ListenerConfig],
  rules: [{ allow: 'any', to: 'any', port: [80, '8000-8999'] } satisfies face.RuleConfig],
  users: undefined,
};
export const hooks: face.ServerHooks = { onLog: undefined, decide: ({ user }) => user !== undefined };
export const start = async (): Promise<face.Server> => createServer(config, hooks);
export const pathsOf = ({ problems }: ConfigError): unknown => problems.map(({ path }: face.ConfigProblem) => path);
// @ts-expect-error: a number is not a duration
export const wrong: face.ServerConfig = { timeouts: { idle: 30 } };
// @ts-expect-error: there is no such key
export const unknown: face.ServerConfig = { lisen: [] };
`;

/** The programs of the page, each with its output in a comment at the end. */
const EXAMPLES = [
  ...readFileSync(join(ROOT, 'docs/library.md'), 'utf8').matchAll(/^```ts\n(.*?)^```$/gms),
].map(([, code = '']) => {
  const [comment = ''] = /(?:^\/\/ .*\n)+(?![^])/m.exec(code) ?? [];
  return { code, prints: comment.replaceAll(/^\/\/ /gm, '') };
});

/** The packages that the types of an entry need. */
async function packagesOf(dist: string, entry: string): Promise<Set<string>> {
  const packages = new Set<string>();
  const seen = new Set<string>();
  const visit = async (file: string): Promise<void> => {
    if (seen.has(file)) return;
    seen.add(file);
    const text = await readFile(join(dist, file), 'utf8');
    for (const [, from = ''] of text.matchAll(/(?:from|import)\s*\(?\s*['"]([^'"]+)['"]/g)) {
      if (from.startsWith('.'))
        await visit(posix.join(posix.dirname(file), from.replace(/\.[jt]s$/, '.d.ts')));
      else packages.add(from);
    }
  };
  await visit(`${entry}.d.ts`);
  return packages;
}

suite('the package from the outside', () => {
  let directory: Directory;
  let dist = '';
  before(async () => {
    directory = await makeDirectory();
    const garter = join(directory.path, 'node_modules/garter');
    dist = join(garter, 'dist');
    await mkdir(garter, { recursive: true });
    await cp(join(ROOT, 'package.json'), join(garter, 'package.json'));
    await check([TSC, '-p', join(ROOT, 'tsconfig.build.json'), '--outDir', dist]);
    await writeFile(join(directory.path, 'package.json'), '{ "type": "module" }');
    for (const [i, { code }] of EXAMPLES.entries())
      await writeFile(join(directory.path, `example-${i}.ts`), code);
  });
  after(() => directory[Symbol.asyncDispose]());

  for (const entry of ENTRIES) {
    test(`the types of ${entry} need no package`, async () => {
      const packages = await packagesOf(dist, entry);
      assert.deepEqual(
        [...packages].filter((name) => !name.startsWith('node:')),
        [],
      );
    });
  }

  test('its types compile on their own', async () => {
    await writeFile(join(directory.path, 'tsconfig.json'), JSON.stringify(CONSUMER));
    await writeFile(join(directory.path, 'types.ts'), TYPES);
    const { code, stdout } = await run([TSC, '-p', directory.path]);
    assert.deepEqual({ code, stdout }, { code: 0, stdout: '' });
  });

  test('the examples of docs/library.md print what they claim, and nothing on standard error', async () => {
    const { dependencies } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as {
      dependencies: object;
    };
    for (const name of Object.keys(dependencies))
      await symlink(join(ROOT, 'node_modules', name), join(directory.path, 'node_modules', name));
    assert.ok(EXAMPLES.length > 1);
    for (const [i, { prints }] of EXAMPLES.entries()) {
      const outcome = await run([process.execPath, join(directory.path, `example-${i}.ts`)]);
      assert.deepEqual(outcome, { code: 0, stdout: prints, stderr: '' });
    }
  });
});
