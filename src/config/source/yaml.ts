import { isAlias, isMap, isScalar, isSeq } from 'yaml';
import type { Alias, Node, Scalar, YAMLMap } from 'yaml';
import { expand } from './environment.ts';
import type { Environment } from './environment.ts';
import { PROBLEMS_LIMIT } from './problem.ts';
import type { Path, Problem } from './problem.ts';
import { SECRET_KEYS } from './mask.ts';
import type { Source } from './source.ts';
import { ValueError, quote } from './value-error.ts';
import { YamlDocument, keyText } from './yaml-document.ts';

/** The number of values that aliases may add, which bounds lists of lists of aliases. */
const ALIASED_LIMIT = 1_000_000;

/** Reads YAML; `${NAME}` in a value is taken from the environment. There is no source for invalid YAML. */
export function readYaml(
  text: string,
  file: string,
  environment: Environment,
): { source?: Source; problems: readonly Problem[] } {
  const document = new YamlDocument(text, file);
  const syntax = document.syntaxProblems();
  if (syntax.length > 0) return { problems: syntax };
  const reader = new Reader(document, environment);
  const value = reader.read(document.root, []);
  const source: Source = {
    value,
    file,
    place: (path, on) => document.place(path, on),
    shown: (shown, path) => {
      const written = expansionAt(path, reader.expansions);
      // Anything that a message quotes, even shortened or escaped, could be part of a secret.
      return written === undefined ? shown : shown.replace(QUOTED, () => `"${written}"`);
    },
    written: (path) => document.textAt(path),
  };
  return { source, problems: reader.problems };
}

/** All quoted text in a message: the text may contain quotes and ellipses itself. */
const QUOTED = /".*["…]/s;

/** The value at a path, or the text that is the short form of a list or mapping around it. */
function expansionAt(path: Path, expansions: ReadonlyMap<string, string>): string | undefined {
  const ends = path.map((_, i) => path.length - i);
  const end = ends.find((one) => expansions.has(path.slice(0, one).join('\0')));
  return expansions.get(path.slice(0, end).join('\0'));
}

/** Converts YAML nodes to plain values. */
class Reader {
  readonly problems: Problem[] = [];
  /** Values from the environment as written, by path. */
  readonly expansions: Map<string, string> = new Map();
  readonly #document: YamlDocument;
  readonly #environment: Environment;
  readonly #anchors = new Map<string, Node>();
  readonly #within = new Set<Node>();
  #aliases = 0;
  #aliased = 0;

  constructor(document: YamlDocument, environment: Environment) {
    this.#document = document;
    this.#environment = environment;
  }

  read(node: Node | null, path: Path): unknown {
    if (this.#aliases > 0) this.#aliased++;
    if (node === null || this.#aliased > ALIASED_LIMIT) return null;
    if (isAlias(node)) return this.#follow(node, path);
    if ('anchor' in node && node.anchor !== undefined) this.#anchors.set(node.anchor, node);
    if (isScalar(node)) return this.#scalar(node, path);
    this.#within.add(node);
    let value: unknown;
    if (isSeq<Node>(node)) value = node.items.map((item, i) => this.read(item, [...path, i]));
    if (isMap<Node, Node | null>(node)) value = this.#map(node, path);
    this.#within.delete(node);
    return value;
  }

  #map(map: YAMLMap<Node, Node | null>, path: Path): object {
    const entries = new Map<string, unknown>();
    for (const { key, value } of map.items) {
      const name = keyText(key);
      if (name === undefined) {
        this.#report(key, 'a key must be text', 'write KEY: VALUE');
        continue;
      }
      if (entries.has(name)) {
        this.#report(
          key,
          `the key ${quote(name)} occurs twice`,
          `remove one; the first is on line ${this.#document.place([...path, name], 'key').line}`,
        );
        continue;
      }
      const read = this.read(value, [...path, name]);
      const isWritten = typeof read === 'string' && !this.expansions.has([...path, name].join('\0'));
      if (SECRET_KEYS.has(name) && isWritten && !read.includes('${')) {
        this.#report(
          value,
          'secrets must not be written here',
          `write "\${NAME}" and set NAME in the environment, or { file: path }`,
        );
      }
      entries.set(name, read);
    }
    return Object.fromEntries(entries);
  }

  #scalar(node: Scalar, path: Path): unknown {
    const { value } = node;
    if (typeof value === 'string') return this.#expand(node, value, path);
    if (value === null || typeof value === 'number' || typeof value === 'boolean') return value;
    this.#report(node, 'this kind of value is not allowed here', 'write text, a number, true or false');
    return null;
  }

  #expand(node: Scalar, written: string, path: Path): string {
    if (!written.includes('${')) return written;
    try {
      const value = expand(written, this.#environment);
      this.expansions.set(path.join('\0'), written);
      return value;
    } catch (error) {
      if (!(error instanceof ValueError)) throw error;
      this.#report(node, error.message, error.remedy);
      return written;
    }
  }

  #follow(alias: Alias, path: Path): unknown {
    const target = this.#anchors.get(alias.source);
    if (target === undefined) {
      const remedy =
        'put a value that starts with * in quotes; for a domain and everything below it write .example.com';
      this.#report(alias, `* starts a YAML alias, but there is no anchor &${alias.source}`, remedy);
      return null;
    }
    if (this.#within.has(target)) {
      this.#report(alias, `*${alias.source} is inside &${alias.source}`, 'write the values out');
      return null;
    }
    this.#document.aliases.set(alias, target);
    const before = this.#aliased;
    this.#aliases++;
    const value = this.read(target, path);
    this.#aliases--;
    if (before <= ALIASED_LIMIT && this.#aliased > ALIASED_LIMIT && this.#aliases === 0) {
      this.#report(alias, `aliases expand to more than ${ALIASED_LIMIT} values`, 'write the values out');
    }
    return value;
  }

  #report(node: Node | null, message: string, remedy: string): void {
    if (this.problems.length < PROBLEMS_LIMIT)
      this.problems.push({ ...this.#document.placeOf(node), message, remedy });
  }
}
