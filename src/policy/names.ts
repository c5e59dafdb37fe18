/**
 * A host name in the form in which names are compared: lower case, ASCII (RFC 5891), no trailing dot; `undefined` for what
 * is none. Labels are letters, digits, `-` and `_`.
 */
export function parseName(text: string): string | undefined {
  const ascii = ASCII.test(text) ? text.toLowerCase() : toAscii(text);
  if (ascii === undefined) return undefined;
  const name = ascii.endsWith('.') ? ascii.slice(0, -1) : ascii;
  return name.length <= 253 && LABELS.test(name) ? name : undefined;
}

/** True for 127.1, 0x7f.1 or 2130706433: what one program takes for a name is an address to the next. */
export function isNumericName(name: string): boolean {
  return NUMERIC.test(name);
}

/** The names that lead to loopback, wherever they are resolved (RFC 6761 section 6.3); `localhost.localdomain` is a name like others. */
export function isLocalhost(name: string): boolean {
  return name === 'localhost' || name.endsWith('.localhost');
}

/** Names, and suffixes that begin with a dot and mean the name behind it too; written as `parseName` gives them. */
export class NameSet {
  readonly #names: ReadonlySet<string>;
  /** 1 for each length that a suffix has: no other is looked up. */
  readonly #suffixLengths = new Uint8Array(256);

  constructor(names: readonly string[]) {
    this.#names = new Set(names);
    for (const name of names) if (name.startsWith('.')) this.#suffixLengths[name.length] = 1;
  }

  has(name: string): boolean {
    if (this.#names.has(name)) return true;
    let dot = -1;
    do {
      const isLength = this.#suffixLengths[name.length - dot] === 1;
      if (isLength && this.#names.has(dot < 0 ? `.${name}` : name.slice(dot))) return true;
      dot = name.indexOf('.', dot + 1);
    } while (dot >= 0);
    return false;
  }
}

const ASCII = /^[\x21-\x7e]*$/;
const LABELS = /^[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$/;
const NUMERIC = /(^|\.)(\d+|0x[0-9a-f]*)$/;
// Nothing in it may mean anything else to a URL.
const INTERNATIONAL = /^[a-zA-Z0-9._\-\u{80}-\u{10ffff}]+$/u;

function toAscii(text: string): string | undefined {
  if (!INTERNATIONAL.test(text)) return undefined;
  return URL.parse(`http://${text}`)?.hostname;
}
