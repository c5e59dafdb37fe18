import { type Address, decodeAddress, encodeAddress } from './address.ts';
import { concat } from './bytes.ts';
import type { Decoded } from './decoded.ts';
import { WireError } from './error.ts';

/** RSV and FRAG, before the address. */
const HEAD_SIZE = 3;

/** The high bit of FRAG: the last fragment of its sequence (RFC 1928 section 7). */
export const LAST_FRAGMENT = 0x80;

/** The header of a datagram between client and relay (RFC 1928 section 7). */
export interface UdpHeader {
  /**
   * FRAG as sent: 0 is a complete datagram, 1 to 127 is a position, and `LAST_FRAGMENT` is added to the last
   * one.
   */
  readonly fragment: number;
  /** The destination of the data; in a datagram from the relay, its source. */
  readonly address: Address;
}

/**
 * RSV, FRAG, ATYP, DST.ADDR, DST.PORT (RFC 1928 section 7) at `start`; the data begins `size` bytes later and
 * is not read. `undefined` when the datagram ends at `end` within its header. Throws ERR_SOCKS_RESERVED,
 * ERR_SOCKS_ADDRESS_TYPE, ERR_SOCKS_NAME.
 */
export function decodeUdpHeader(
  bytes: Uint8Array,
  start = 0,
  end: number = bytes.length,
): Decoded<UdpHeader> | undefined {
  if (end - start < HEAD_SIZE) return undefined;
  const reserved = (bytes[start]! << 8) | bytes[start + 1]!;
  if (reserved !== 0) throw new WireError('ERR_SOCKS_RESERVED', `RSV ${reserved} in a UDP header`);
  const address = decodeAddress(bytes, start + HEAD_SIZE, end);
  if (address === undefined) return undefined;
  return {
    value: { fragment: bytes[start + 2]!, address: address.value },
    size: HEAD_SIZE + address.size,
  };
}

/** Throws a RangeError when the address cannot be encoded, see `encodeAddress`. */
export function encodeUdpHeader(header: UdpHeader): Uint8Array {
  return concat([0, 0, header.fragment], encodeAddress(header.address));
}
