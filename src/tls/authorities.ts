import { getCACertificates } from 'node:tls';

/**
 * The CAs that this machine trusts: the system's, or Node's own if it has none, and those of
 * NODE_EXTRA_CA_CERTS.
 */
export function systemAuthorities(): string[] {
  const system = getCACertificates('system');
  return [...(system.length > 0 ? system : getCACertificates('bundled')), ...getCACertificates('extra')];
}
