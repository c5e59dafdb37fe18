import { AF_INET, NONBLOCK_CLOEXEC, SOCK_DGRAM } from '../../sys/constants.ts';
import { libc } from '../../sys/libc.ts';
import { bindToDevice, checked } from '../../sys/socket.ts';

/** What this user lacks to bind a socket to a network interface; `undefined` when the kernel permits it. */
export function deviceFault(): string | undefined {
  const fd = checked(libc.socket(AF_INET, SOCK_DGRAM | NONBLOCK_CLOEXEC, 0), 'socket');
  try {
    bindToDevice(fd, 'lo');
    return undefined;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Any interface would do; if this one is missing, nothing is known about permissions.
    if (code === 'EADDRNOTAVAIL') return undefined;
    return `needs Linux 5.7, or the capability CAP_NET_RAW: the system does not permit it to this user (${code})`;
  } finally {
    libc.close(fd);
  }
}
