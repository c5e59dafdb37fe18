import { createHash } from 'node:crypto';
import type { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import type { AlertName } from '../wire/tls-alert.ts';

/** What the certificate of a server is held against. */
export interface Expected {
  readonly name: string;
  readonly pins: readonly string[] | undefined;
  /** Whether some CA has to have issued it, for that name. */
  readonly issued: boolean;
}

/** What is wrong with the certificate of a server, if anything. `chain`: what OpenSSL has against those who have issued it. */
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

/** What is wrong with the certificate of a client, if anything. */
export function clientFault(
  certificate: X509Certificate | undefined,
  chain: string | undefined,
): string | undefined {
  return certificate === undefined ? NO_CERTIFICATE : (dateFault(certificate) ?? chain);
}

/** Both ends of its days. */
export function dateFault({ validFromDate, validToDate }: X509Certificate): string | undefined {
  const now = Date.now();
  if (now > validToDate.getTime()) return 'CERT_HAS_EXPIRED';
  return now < validFromDate.getTime() ? 'CERT_NOT_YET_VALID' : undefined;
}

/** SHA-256 of its SubjectPublicKeyInfo, in base64. */
function pinOf({ publicKey }: X509Certificate): string {
  const info = publicKey.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(info).digest('base64');
}

/** Whether it is for this host. Only its subjectAltName counts: a common name may be anybody's (RFC 9525). */
function isFor(certificate: X509Certificate, name: string): boolean {
  if (isIP(name) !== 0) return certificate.checkIP(name) !== undefined;
  return certificate.checkHost(name, { subject: 'never' }) !== undefined;
}

const WRONG_NAME = 'ERR_TLS_CERT_ALTNAME_INVALID';
const WRONG_PIN = 'PIN';
/** As OpenSSL calls it. */
const NO_CERTIFICATE = 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE';
/** What the certificate of a client calls nobody, or nobody who is a user. */
export const NO_USER = 'certificate-user';

/**
 * The alert for a peer whose certificate is faulty. Node verifies a certificate when the handshake is over, and then sends none;
 * so it goes through the link, in place of the first message.
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

/** Under one name, whatever version of TLS OpenSSL calls it after: `alert-unknown-ca`. Other codes stay as they are. */
export function alertCode(code: string): string {
  const [, alert] = /^ERR_SSL_.*_ALERT_(\w+)$/.exec(code) ?? [];
  return alert === undefined ? code : `alert-${alert.toLowerCase().replaceAll('_', '-')}`;
}

/** What is wrong with the certificate of a server or of what it is shown, and what to do; `undefined` for other trouble. */
export function adviceOnServer(code: string): string | undefined {
  return ON_SERVER[code];
}

/** The same for a client. */
export function adviceOnClient(code: string): string | undefined {
  return ON_CLIENT[code];
}

const SERVER_ISSUER = 'no known CA has issued its certificate; name the CA under tls: ca';
const CLIENT_ISSUER =
  'no CA under tls: client-ca has issued its certificate; give it one of them, or add its CA';

const ON_SERVER: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'its certificate has expired; it needs a new one',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet; compare the clocks of both machines',
  [WRONG_NAME]:
    'its certificate is for another name; write the one that it has under tls: name, or have it issued anew',
  [WRONG_PIN]:
    'its key is none of those under tls: pin; ask whoever runs it for the new one before you change that',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: SERVER_ISSUER,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: SERVER_ISSUER,
  UNABLE_TO_GET_ISSUER_CERT: SERVER_ISSUER,
  SELF_SIGNED_CERT_IN_CHAIN: SERVER_ISSUER,
  DEPTH_ZERO_SELF_SIGNED_CERT:
    'it has signed its certificate itself; name that under tls: ca, or pin its key',
  INVALID_PURPOSE: 'its certificate is not for servers; have it issued anew',
  'alert-certificate-required': 'it wants to see a certificate; name one under tls: cert and key',
  'alert-certificate-expired':
    'it says that our certificate has expired or is not valid yet; renew tls: cert',
  'alert-unknown-ca':
    'it does not know the CA of our certificate; name another under tls: cert, or have it add the CA',
  'alert-unsupported-certificate':
    'it says that our certificate is not for clients; have tls: cert issued anew',
  'alert-access-denied':
    'our certificate names nobody who is a user there; add the user, or name another under tls: cert',
  'alert-no-application-protocol': 'it does not speak this protocol over TLS; write another scheme',
  ERR_SSL_WRONG_VERSION_NUMBER: 'it does not speak TLS; take the tls out of the URL',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'it does not speak TLS; take the tls out of the URL',
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
  DEPTH_ZERO_SELF_SIGNED_CERT:
    'it has signed its certificate itself; give it one of a CA under tls: client-ca',
  INVALID_PURPOSE: 'its certificate is not for clients; have it issued anew',
  [NO_CERTIFICATE]: 'it has shown no certificate; give it one of a CA under tls: client-ca',
  [NO_USER]: 'its certificate names nobody who is a user; add the user, or give it another one',
  'alert-certificate-expired':
    'it says that our certificate has expired or is not valid yet; renew tls: cert',
  'alert-bad-certificate':
    'it refuses our certificate, which is for another name than it expects; see tls: cert',
  'alert-certificate-unknown':
    'it refuses our certificate, whose key is not the one that it has pinned; see tls: cert',
  'alert-unknown-ca': 'it does not know the CA of our certificate; tell it, or name another under tls: cert',
  'alert-unsupported-certificate':
    'it says that our certificate is not for servers; have tls: cert issued anew',
};
