import { getCACertificates } from 'node:tls';

/** Whom this machine trusts: the system's, or where it has none those that come with Node, and what NODE_EXTRA_CA_CERTS adds. */
export function systemAuthorities(): string[] {
  const system = getCACertificates('system');
  return [...(system.length > 0 ? system : getCACertificates('bundled')), ...getCACertificates('extra')];
}
