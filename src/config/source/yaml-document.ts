import { isMap, isScalar, isSeq, parseDocument, visit } from 'yaml';
import type { Document, Node, Pair, YAMLError, YAMLMap } from 'yaml';
import { excerpt } from './excerpt.ts';
import type { Path, Place, Problem } from './problem.ts';
import { SECRET_KEYS, secretsInLine } from './mask.ts';
import type { Range } from './mask.ts';

/** A parsed YAML text that provides the position of every node. */
export class YamlDocument {
  /** The targets of the aliases that were followed. */
  readonly aliases: Map<Node, Node> = new Map();
  readonly #text: string;
  readonly #file: string;
  /** The start of each line; the library's own list ends early in a malformed text. */
  readonly #lineStarts: readonly number[];
  readonly #document: Document.Parsed;
  readonly #indexes = new Map<
    YAMLMap<Node, Node | null>,
    ReadonlyMap<string | undefined, Pair<Node, Node | null>>
  >();
  #secrets: readonly Range[] | undefined;

  constructor(text: string, file: string) {
    this.#text = text;
    this.#file = file;
    this.#lineStarts = [0, ...Array.from(text.matchAll(/\n/g), ({ index }) => index + 1)];
    // Duplicate keys are detected by the reader: the library compares each key with all others.
    this.#document = parseDocument(text, {
      prettyErrors: false,
      uniqueKeys: false,
    });
  }

  get root(): Node | null {
    return this.#document.contents;
  }

  /** The syntax errors, only the first of each line: others on the line are consequences. */
  syntaxProblems(): Problem[] {
    const { errors, warnings } = this.#document;
    const found = errors.some(({ code }) => code === 'RESOURCE_EXHAUSTION')
      ? errors.slice(0, 1)
      : [...errors, ...warnings];
    const problems = new Map<number, Problem>();
    for (const error of found.toSorted((a, b) => a.pos[0] - b.pos[0])) {
      const problem = this.#syntaxProblem(error);
      if (!problems.has(problem.line!)) problems.set(problem.line!, problem);
    }
    return [...problems.values()];
  }

  /**
   * The position of the value at a path, or of its key; if it does not exist, that of the closest enclosing
   * value.
   */
  place(path: Path, on?: 'key'): Place {
    const { node, key } = this.#find(path);
    const isEmpty = node === null || node.range![0] === node.range![1];
    return this.placeOf(on === 'key' || isEmpty ? (key ?? node ?? this.root) : node);
  }

  /** The text at a path; `undefined` for other values. */
  textAt(path: Path): string | undefined {
    const { node } = this.#find(path);
    const found = (node && this.aliases.get(node)) ?? node;
    return isScalar(found) && typeof found.value === 'string' ? found.value : undefined;
  }

  placeOf(node: Node | null): Place {
    if (node === null) return { where: this.#file };
    const first = isMap<Node>(node) && node.flow !== true ? node.items[0]!.key : node;
    const [start, end] = first.range!;
    return this.#placeAt(start, isScalar(first) ? end : start + 1);
  }

  /** The value at a path, and its key if it has one; if it does not exist, the closest enclosing value. */
  #find(path: Path): { readonly node: Node | null; readonly key: Node | undefined } {
    let node: Node | null = this.root;
    let key: Node | undefined;
    for (const step of path) {
      const inside: Node | null = (node && this.aliases.get(node)) ?? node;
      if (isMap<Node, Node | null>(inside) && typeof step === 'string') {
        const pair = this.#pairs(inside).get(step);
        if (pair === undefined) break;
        key = pair.key;
        node = pair.value;
      } else if (isSeq<Node>(inside) && typeof step === 'number') {
        key = undefined;
        node = inside.items[step] ?? null;
      }
      // Otherwise a single value is a list of one.
    }
    return { node, key };
  }

  #pairs(map: YAMLMap<Node, Node | null>): ReadonlyMap<string | undefined, Pair<Node, Node | null>> {
    let pairs = this.#indexes.get(map);
    if (pairs === undefined) {
      // Of duplicate keys, the first counts.
      pairs = new Map(map.items.toReversed().map((pair) => [keyText(pair.key), pair]));
      this.#indexes.set(map, pairs);
    }
    return pairs;
  }

  #syntaxProblem({ code, message, pos }: YAMLError): Problem {
    const place = this.#placeAt(pos[0], pos[1]);
    const { start, text } = this.#line(place.line!);
    const at = pos[0] - start;
    // The library's message may quote the text.
    const isSecret = this.#secretsIn(start, text).some((range) => range.start <= at && at <= range.end);
    return {
      ...place,
      message: `YAML: ${isSecret ? 'a mistake in a secret' : messageOf(code, message)}`,
      remedy: remedyOf(code, text),
    };
  }

  /** The line number of an offset, from 1. */
  #lineAt(offset: number): number {
    let [first, end] = [0, this.#lineStarts.length];
    while (end - first > 1) {
      const middle = (first + end) >> 1;
      if (this.#lineStarts[middle]! <= offset) first = middle;
      else end = middle;
    }
    return first + 1;
  }

  #placeAt(start: number, end: number): Place {
    const line = this.#lineAt(start);
    const { start: lineStart, text } = this.#line(line);
    const meant = { start: start - lineStart, end: Math.min(end - lineStart, text.length) };
    return {
      where: this.#file,
      line,
      column: start - lineStart + 1,
      excerpt: excerpt(text, line, meant, this.#secretsIn(lineStart, text)),
    };
  }

  #line(line: number): { start: number; text: string } {
    const start = this.#lineStarts[line - 1] ?? 0;
    const end = this.#text.indexOf('\n', start);
    return { start, text: this.#text.slice(start, end < 0 ? undefined : end) };
  }

  #secretsIn(start: number, text: string): Range[] {
    this.#secrets ??= findSecrets(this.#document, this.#text);
    const end = start + text.length;
    const found = this.#secrets.filter((range) => range.start < end && start < range.end);
    const shifted = found.map((range) => ({
      start: Math.max(range.start - start, 0),
      end: Math.min(range.end - start, text.length),
    }));
    return [...secretsInLine(text), ...shifted];
  }
}

/** The text of a key; `undefined` for a list or mapping. */
export function keyText(key: Node): string | undefined {
  return isScalar(key) ? (key.source ?? String(key.value)) : undefined;
}

/** Multi-line secrets, which cannot be recognised in a single line. */
function findSecrets(document: Document, text: string): Range[] {
  const secrets: Range[] = [];
  visit(document, {
    Scalar(position, { value, range }, parents) {
      const parent = parents.at(-1);
      const isNamed =
        position === 'value' && 'key' in parent! && SECRET_KEYS.has(keyText(parent.key as Node) ?? '');
      if (typeof value !== 'string' || !(isNamed || /:\/\/.*@/s.test(value))) return;
      const [start, end] = range!;
      if (text.slice(start, end).trimEnd().includes('\n')) secrets.push({ start, end });
    },
  });
  return secrets;
}

function messageOf(code: YAMLError['code'], message: string): string {
  if (code === 'MULTIPLE_DOCS') return 'a second document begins here';
  if (code === 'RESOURCE_EXHAUSTION') return 'nested too deeply';
  return message;
}

function remedyOf(code: YAMLError['code'], line: string): string {
  if (/[[{].*\$\{/.test(line)) return 'inside [ ] and { } write "${NAME}" in quotes';
  if (/:\s*\[[^\]]*:[^\]]*\]:/.test(line))
    return 'write an IPv6 address and its port in quotes: "[::1]:1080"';
  switch (code) {
    case 'TAB_AS_INDENT':
      return 'indent with spaces';
    case 'BAD_SCALAR_START':
    case 'TAG_RESOLVE_FAILED':
      return 'put the value in quotes';
    case 'MULTIPLE_DOCS':
      return 'a file holds one configuration: remove the line ---';
    case 'RESOURCE_EXHAUSTION':
      return 'look for a bracket that is never closed';
    default:
      return 'look for a missing quote, bracket or space after a colon, and at the indentation of the lines above';
  }
}
