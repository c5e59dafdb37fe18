/** TLS alerts about certificates (RFC 8446 section 6.2). */
export const Alert = {
  'bad-certificate': 42,
  'unsupported-certificate': 43,
  'certificate-expired': 45,
  'certificate-unknown': 46,
  'unknown-ca': 48,
  'access-denied': 49,
  'certificate-required': 116,
} as const;
export type AlertName = keyof typeof Alert;

/** The start of a record with a fatal alert: type, version, length, level. */
const HEAD: readonly number[] = [21, 3, 3, 0, 2, 2];

/** A record with a fatal alert. */
export function encodeAlert(name: AlertName): Uint8Array {
  return Uint8Array.of(...HEAD, Alert[name]);
}

/** The alert in these bytes, if they are exactly one alert. */
export function decodeAlert(bytes: Uint8Array): AlertName | undefined {
  if (bytes.length !== HEAD.length + 1 || HEAD.some((byte, i) => bytes[i] !== byte)) return undefined;
  return ALERTS.find((name) => Alert[name] === bytes[HEAD.length]);
}

const ALERTS = Object.keys(Alert) as readonly AlertName[];
