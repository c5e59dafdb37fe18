const encoder = new TextEncoder();
// A byte order mark is kept: what was sent is what is judged and passed on.
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const lenientDecoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** One array of all the parts. */
export function concat(...parts: readonly ArrayLike<number>[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** The text of bytes that must be UTF-8; `undefined` when they are not. */
export function decodeText(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}

/** The text of bytes that should be UTF-8: whatever is not becomes U+FFFD. */
export function decodeTextLeniently(bytes: Uint8Array): string {
  return lenientDecoder.decode(bytes);
}

/** The UTF-8 bytes of a field whose length is one byte. The error names the field and not its text, which may be a password. */
export function encodeText(text: string, field: string): Uint8Array {
  const bytes = encoder.encode(text);
  if (bytes.length > 255) throw new RangeError(`${field} takes ${bytes.length} bytes, 255 at most`);
  return bytes;
}
