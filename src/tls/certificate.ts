import { createHash } from 'node:crypto';
import type { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import type { AlertName } from '../wire/tls-alert.ts';

/** The requirements for a server's certificate. */
export interface Expected {
  readonly name: string;
  readonly pins: readonly string[] | undefined;
  /** Whether a CA must have issued it, for that name. */
  readonly issued: boolean;
}

/** The fault of a server's certificate, if any. `chain`: OpenSSL's error about the issuers. */
export function serverFault(
  certificate: X509Certificate,
  chain: string | undefined,
  { name, pins, issued }: Expected,
): string | undefined {
  const outOfDate = dateFault(certificate);
  if (outOfDate !== undefined) return outOfDate;
  if (issued && chain !== undefined) return chain;
  if (issued && !isFor(certificate, name)) return WRONG_NAME;
  return pins === undefined || pins.includes(pinOf(certificate)) ? undefined : WRONG_PIN;
}

/** The fault of a client's certificate, if any. */
export function clientFault(
  certificate: X509Certificate | undefined,
  chain: string | undefined,
): string | undefined {
  return certificate === undefined ? NO_CERTIFICATE : (dateFault(certificate) ?? chain);
}

/** Checks both ends of the validity period. */
export function dateFault({ validFromDate, validToDate }: X509Certificate): string | undefined {
  const now = Date.now();
  if (now > validToDate.getTime()) return 'CERT_HAS_EXPIRED';
  return now < validFromDate.getTime() ? 'CERT_NOT_YET_VALID' : undefined;
}

/** SHA-256 of the SubjectPublicKeyInfo, in base64. */
function pinOf({ publicKey }: X509Certificate): string {
  const info = publicKey.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(info).digest('base64');
}

/**
 * Whether it is valid for this host. Only the subjectAltName counts: a common name is not verified to be a
 * host (RFC 9525).
 */
function isFor(certificate: X509Certificate, name: string): boolean {
  if (isIP(name) !== 0) return certificate.checkIP(name) !== undefined;
  return certificate.checkHost(name, { subject: 'never' }) !== undefined;
}

const WRONG_NAME = 'ERR_TLS_CERT_ALTNAME_INVALID';
const WRONG_PIN = 'PIN';
/** OpenSSL's name for it. */
const NO_CERTIFICATE = 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE';
/** The certificate of a client has no user name, or one that is not a user. */
export const NO_USER = 'certificate-user';

/**
 * The alert for a peer with a faulty certificate. Node verifies certificates after the handshake and then
 * sends no alert, so it is sent through the link, in place of the first message.
 */
export function alertOn(fault: string): AlertName {
  switch (fault) {
    case 'CERT_HAS_EXPIRED':
    case 'CERT_NOT_YET_VALID':
      return 'certificate-expired';
    case WRONG_NAME:
      return 'bad-certificate';
    case WRONG_PIN:
      return 'certificate-unknown';
    case NO_CERTIFICATE:
      return 'certificate-required';
    case NO_USER:
      return 'access-denied';
    default:
      return fault.startsWith('UNABLE_TO_') || fault.includes('SELF_SIGNED')
        ? 'unknown-ca'
        : 'unsupported-certificate';
  }
}

/**
 * One name for an alert, `alert-unknown-ca`, whatever TLS version OpenSSL's code mentions. Other codes are
 * returned unchanged.
 */
export function alertCode(code: string): string {
  const [, alert] = /^ERR_SSL_.*_ALERT_(\w+)$/.exec(code) ?? [];
  return alert === undefined ? code : `alert-${alert.toLowerCase().replaceAll('_', '-')}`;
}

/**
 * What is wrong with a server's certificate, or with the one presented to it, and what to do; `undefined` for
 * other errors.
 */
export function adviceOnServer(code: string): string | undefined {
  return ON_SERVER[code];
}

/** The same for clients. */
export function adviceOnClient(code: string): string | undefined {
  return ON_CLIENT[code];
}

const SERVER_ISSUER = 'its certificate is not from a known CA; name the CA under tls: ca';
const CLIENT_ISSUER =
  'its certificate is not from a CA under tls: client-ca; give it one from such a CA, or add its CA';

const ON_SERVER: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'its certificate has expired; it needs a new one',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet; compare the clocks of both machines',
  [WRONG_NAME]: 'its certificate is for another name; write that name under tls: name, or have it reissued',
  [WRONG_PIN]:
    'its key is not among those under tls: pin; verify the new key with its operator before you change the pin',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: SERVER_ISSUER,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: SERVER_ISSUER,
  UNABLE_TO_GET_ISSUER_CERT: SERVER_ISSUER,
  SELF_SIGNED_CERT_IN_CHAIN: SERVER_ISSUER,
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is self-signed; name it under tls: ca, or pin its key',
  INVALID_PURPOSE: 'its certificate is not for servers; have it reissued',
  'alert-certificate-required': 'it requires a certificate; name one under tls: cert and key',
  'alert-certificate-expired':
    'it says that our certificate has expired or is not valid yet; renew tls: cert',
  'alert-unknown-ca':
    'it does not know the CA of our certificate; name another certificate under tls: cert, or have the CA added there',
  'alert-unsupported-certificate': 'it says that our certificate is not for clients; have tls: cert reissued',
  'alert-access-denied':
    'our certificate does not name a user there; have the user added, or name another certificate under tls: cert',
  'alert-no-application-protocol': 'it does not speak this protocol over TLS; use another scheme',
  ERR_SSL_WRONG_VERSION_NUMBER: 'it does not speak TLS; use a URL without TLS',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'it does not speak TLS; use a URL without TLS',
  'alert-protocol-version': 'it does not speak TLS 1.3',
  ERR_SSL_UNSUPPORTED_PROTOCOL: 'it does not speak TLS 1.3',
};

const ON_CLIENT: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'its certificate has expired; it needs a new one',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet; compare the clocks of both machines',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: CLIENT_ISSUER,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: CLIENT_ISSUER,
  UNABLE_TO_GET_ISSUER_CERT: CLIENT_ISSUER,
  SELF_SIGNED_CERT_IN_CHAIN: CLIENT_ISSUER,
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is self-signed; give it one from a CA under tls: client-ca',
  INVALID_PURPOSE: 'its certificate is not for clients; have it reissued',
  [NO_CERTIFICATE]: 'it showed no certificate; give it one from a CA under tls: client-ca',
  [NO_USER]: 'its certificate does not name a user; add the user, or give it another certificate',
  'alert-certificate-expired':
    'it says that our certificate has expired or is not valid yet; renew tls: cert',
  'alert-bad-certificate': 'it rejects our certificate: it expects another name; see tls: cert',
  'alert-certificate-unknown': 'it rejects our certificate: it has pinned another key; see tls: cert',
  'alert-unknown-ca':
    'it does not know the CA of our certificate; have the CA added there, or name another certificate under tls: cert',
  'alert-unsupported-certificate': 'it says that our certificate is not for servers; have tls: cert reissued',
};
