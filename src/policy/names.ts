/**
 * A host name in the form in which names are compared: lower case, ASCII (RFC 5891), no trailing dot;
 * `undefined` if it is not a host name. Labels consist of letters, digits, `-` and `_`.
 */
export function parseName(text: string): string | undefined {
  const ascii = ASCII.test(text) ? text.toLowerCase() : toAscii(text);
  if (ascii === undefined) return undefined;
  const name = ascii.endsWith('.') ? ascii.slice(0, -1) : ascii;
  return name.length <= 253 && LABELS.test(name) ? name : undefined;
}

/** True for 127.1, 0x7f.1 or 2130706433, which some programs treat as a name and others as an address. */
export function isNumericName(name: string): boolean {
  return NUMERIC.test(name);
}

/**
 * The names that resolve to loopback, whatever the resolver (RFC 6761 section 6.3); `localhost.localdomain`
 * is an ordinary name.
 */
export function isLocalhost(name: string): boolean {
  return name === 'localhost' || name.endsWith('.localhost');
}

/**
 * A set of names, and of suffixes with a leading dot that also match the name after the dot; in the form that
 * `parseName` returns.
 */
export class NameSet {
  readonly #names: ReadonlySet<string>;
  /** 1 for each length of a suffix in the set: only these are looked up. */
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
// Must not contain a character with a special meaning in a URL.
const INTERNATIONAL = /^[a-zA-Z0-9._\-\u{80}-\u{10ffff}]+$/u;

function toAscii(text: string): string | undefined {
  if (!INTERNATIONAL.test(text)) return undefined;
  return URL.parse(`http://${text}`)?.hostname;
}
