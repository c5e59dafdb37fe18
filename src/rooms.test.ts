import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { suite, test } from 'node:test';

/**
 * Each room can import from itself and from the rooms listed after it. Entry points, the files beside the
 * rooms, can import from all.
 */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  wire: [],
  handshake: ['wire'],
  policy: ['wire'],
  limits: ['wire', 'policy'],
  sys: ['wire'],
  net: ['wire', 'limits', 'sys'],
  tls: ['wire'],
  resolve: ['wire', 'policy', 'limits', 'net', 'tls'],
  auth: ['wire', 'limits'],
  audit: ['wire', 'limits'],
  route: ['wire', 'handshake', 'policy', 'limits', 'net', 'tls', 'resolve'],
  client: ['wire', 'handshake', 'net', 'route'],
  server: ['wire', 'handshake', 'policy', 'limits', 'net', 'tls', 'resolve', 'auth', 'audit', 'route'],
  admin: ['wire', 'policy', 'net', 'auth', 'audit', 'route', 'server'],
  config: ['wire', 'policy', 'net', 'tls', 'resolve', 'auth', 'audit', 'route', 'server', 'admin'],
  cli: ['wire', 'policy', 'auth', 'audit', 'route', 'server', 'admin', 'config'],
};
const PURE = new Set(['wire', 'handshake', 'policy']);
const WITHOUT_DEPENDENCIES = ['client.ts', 'wire.ts'];

interface Source {
  readonly file: string;
  readonly text: string;
  readonly imports: readonly string[];
}

const all: readonly Source[] = globSync('**/*.ts', { cwd: import.meta.dirname }).map((file) => {
  const text = readFileSync(join(import.meta.dirname, file), 'utf8');
  return {
    file,
    text,
    imports: [...text.matchAll(/\b(?<!')(?:from|import)\s*\(?\s*'([^']+)'/g)].map(([, from]) => from!),
  };
});
const sources = all.filter(({ file }) => !file.endsWith('.test.ts'));

const roomOf = (file: string): string | undefined => (file.includes('/') ? file.split('/')[0] : undefined);
const target = (file: string, from: string): string => posix.join(dirname(file), from);

suite('rooms', () => {
  for (const { file, imports, text } of sources) {
    const room = roomOf(file);
    if (room === undefined) continue;
    test(`${file} keeps to its room`, () => {
      const allowed = MAY_IMPORT[room];
      assert.ok(allowed, `${room}/ is a new room: give it a place in MAY_IMPORT and in ARCHITECTURE.md`);
      for (const from of imports) {
        if (from.startsWith('.')) {
          const other = roomOf(target(file, from));
          assert.ok(
            other === room || (other !== undefined && allowed.includes(other)),
            `${file} imports ${from}, but ${room}/ may only import from ${allowed.join(', ') || 'itself'}`,
          );
        } else {
          assert.ok(!PURE.has(room), `${file} imports ${from}, but ${room}/ is pure: pass in what it needs`);
        }
      }
      if (PURE.has(room)) {
        const impure =
          /\b(async |await |Promise\b|Date\.now|new Date\(\)|performance\.|Math\.random|setTimeout|process\.)/.exec(
            withoutComments(text),
          );
        assert.equal(impure?.[0], undefined, `${file} must take no clock, no randomness and have no async`);
      }
    });
  }

  test('tests keep to the rooms of what they test', () => {
    const outside = all.flatMap(({ file, imports }) => {
      const room = file.endsWith('.test.ts') ? roomOf(file) : undefined;
      if (room === undefined) return [];
      // What is in test/ is open to them.
      const rooms = imports
        .filter((from) => from.startsWith('.') && !target(file, from).startsWith('../test/'))
        .map((from) => roomOf(target(file, from)));
      return rooms
        .filter((other) => other === undefined || (other !== room && !MAY_IMPORT[room]!.includes(other)))
        .map((other) => `${file} -> ${other}`);
    });
    assert.deepEqual(outside, []);
  });

  for (const room of Object.keys(MAY_IMPORT)) {
    test(`the parts of ${room}/ import in one direction`, () => {
      const circle = circleOf(importsWithin(room));
      assert.equal(
        circle?.join(' -> '),
        undefined,
        `a folder in ${room}/, or a file beside the folders, imports what imports it: let one of them name an interface instead`,
      );
    });
  }

  for (const entry of WITHOUT_DEPENDENCIES) {
    test(`${entry} needs no package`, () => {
      const seen = new Set<string>();
      const visit = (file: string): void => {
        if (seen.has(file)) return;
        seen.add(file);
        for (const from of sources.find((source) => source.file === file)!.imports) {
          if (from.startsWith('.')) visit(target(file, from));
          else
            assert.ok(
              from.startsWith('node:'),
              `${file} imports the package ${from}, and ${entry} reaches it`,
            );
        }
      };
      visit(entry);
    });
  }

  test('what needs node:ffi is loaded only where it works', () => {
    const seen = new Set<string>();
    const visit = (file: string): void => {
      if (seen.has(file)) return;
      seen.add(file);
      const { text } = sources.find((source) => source.file === file)!;
      for (const [, from] of text.matchAll(/^(?:import|export) (?!type)(?:[^'";]* from )?'(\.[^']+)';$/gm))
        visit(target(file, from!));
    };
    visit('server/server.ts');
    assert.deepEqual(
      [...seen].filter((file) => /^(net\/fast|sys)\//.test(file)),
      [],
    );
  });

  test('a permit is made by decide() only', () => {
    const makers = sources.filter(({ text }) => /new Permit\b/.test(text)).map(({ file }) => file);
    assert.deepEqual(makers, ['policy/decide.ts']);
  });
});

/** A folder of a room, or a file beside such folders. */
const partOf = (file: string): string => file.split('/').slice(0, 2).join('/');

/** The imports between the parts of a room, including those of types. */
function importsWithin(room: string): ReadonlyMap<string, ReadonlySet<string>> {
  const found = new Map<string, Set<string>>();
  for (const { file, imports } of sources) {
    if (roomOf(file) !== room) continue;
    const part = partOf(file);
    const others = found.get(part) ?? new Set();
    found.set(part, others);
    for (const from of imports) {
      const other = partOf(target(file, from));
      if (from.startsWith('.') && roomOf(other) === room && other !== part) others.add(other);
    }
  }
  return found;
}

/** Parts that form a circle. */
function circleOf(graph: ReadonlyMap<string, ReadonlySet<string>>): readonly string[] | undefined {
  const done = new Set<string>();
  const follow = (part: string, path: readonly string[]): readonly string[] | undefined => {
    if (path.includes(part)) return [...path.slice(path.indexOf(part)), part];
    if (done.has(part)) return undefined;
    for (const other of graph.get(part) ?? []) {
      const circle = follow(other, [...path, part]);
      if (circle !== undefined) return circle;
    }
    done.add(part);
    return undefined;
  };
  for (const part of graph.keys()) {
    const circle = follow(part, []);
    if (circle !== undefined) return circle;
  }
  return undefined;
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
}
