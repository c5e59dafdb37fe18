/**
 * The text of a file or of standard input, in UTF-8. Some programs begin it with a byte order mark, which is no part of it; bytes that
 * are not UTF-8 become U+FFFD.
 */
export function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

/** Begins as UTF-16 does: what some editors call Unicode. */
export function isUtf16([first, second]: Uint8Array): boolean {
  return (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff);
}
