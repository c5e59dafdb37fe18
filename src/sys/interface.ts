import {
  IP_PKTINFO,
  IP_PKTOPTIONS,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_2292PKTOPTIONS,
  IPV6_RECVPKTINFO,
} from './constants.ts';
import { numberOf } from './interface-name.ts';
import { libc } from './libc.ts';
import { addressOf, int32, reserve } from './memory.ts';
import { setOption } from './socket.ts';

const ROOM = 128;
// Offsets within the control message, including a struct cmsghdr: ipi_ifindex comes first in struct
// in_pktinfo, and after the address in in6_pktinfo.
const INDEX4 = 16;
const INDEX6 = 32;

const told = reserve(ROOM);
const length = reserve(4);

/**
 * Whether an accepted TCP connection arrived on an interface with this name. The kernel stores the interface
 * with every such connection and returns it while packet information is enabled, so listeners need no
 * preparation.
 */
export function cameBy(fd: number, interfaceName: string): boolean {
  const index = numberOf(interfaceName);
  return index > 0 && index === arrival(fd);
}

/** The index of the interface; 0 when the kernel does not know it. */
function arrival(fd: number): number {
  // Only IPv6 sockets, which may carry IPv4, accept the first option.
  if (setOption(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1) === 0) {
    const index = ask(fd, IPPROTO_IPV6, IPV6_2292PKTOPTIONS, INDEX6);
    // Otherwise the kernel would update it with every packet.
    setOption(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 0);
    return index;
  }
  setOption(fd, IPPROTO_IP, IP_PKTINFO, 1);
  const index = ask(fd, IPPROTO_IP, IP_PKTOPTIONS, INDEX4);
  setOption(fd, IPPROTO_IP, IP_PKTINFO, 0);
  return index;
}

function ask(fd: number, level: number, option: number, at: number): number {
  int32[length >> 2] = ROOM;
  if (libc.getsockopt(fd, level, option, addressOf(told), addressOf(length)) < 0) return 0;
  return int32[length >> 2]! < at + 4 ? 0 : int32[(told + at) >> 2]!;
}
