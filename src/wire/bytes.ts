const encoder = new TextEncoder();
// Keeps a byte order mark: rules must see exactly the text that is passed on.
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const lenientDecoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** Concatenates the parts. */
export function concat(...parts: readonly ArrayLike<number>[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** Decodes UTF-8; `undefined` for invalid bytes. */
export function decodeText(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}

/** Decodes UTF-8; invalid bytes become U+FFFD. */
export function decodeTextLeniently(bytes: Uint8Array): string {
  return lenientDecoder.decode(bytes);
}

/**
 * The UTF-8 bytes of a field with a one-byte length. The error names the field but not its text, which may be
 * a password.
 */
export function encodeText(text: string, field: string): Uint8Array {
  const bytes = encoder.encode(text);
  if (bytes.length > 255) throw new RangeError(`${field} takes ${bytes.length} bytes, 255 at most`);
  return bytes;
}
