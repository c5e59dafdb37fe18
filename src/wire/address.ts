/** The ATYP of RFC 1928 section 5. */
export const AddressType = { ipv4: 1, name: 3, ipv6: 4 } as const;
export type AddressType = (typeof AddressType)[keyof typeof AddressType];

/**
 * A host and a port as they stand in a request, a reply or a UDP header. `host` is a dotted quad, an IPv6 literal in the
 * form of RFC 5952, or the name exactly as it was sent (UTF-8, 0 to 255 bytes). A literal that was sent as a name stays
 * a name here; whoever judges it looks again.
 */
export interface Address {
  readonly type: AddressType;
  readonly host: string;
  readonly port: number;
}
