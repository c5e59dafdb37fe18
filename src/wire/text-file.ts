/**
 * Decodes a file or standard input as UTF-8. A byte order mark, which some programs write, is removed;
 * invalid bytes become U+FFFD.
 */
export function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

/** Whether it begins with a UTF-16 byte order mark; some editors call this encoding Unicode. */
export function isUtf16([first, second]: Uint8Array): boolean {
  return (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff);
}
