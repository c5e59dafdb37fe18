import { AF_INET, NONBLOCK_CLOEXEC, SOCK_DGRAM } from '../sys/constants.ts';
import { libc } from '../sys/libc.ts';
import { bindToDevice, checked } from '../sys/socket.ts';

/** Why the kernel lets this user bind no socket to a network interface; `undefined` when it does. */
export function deviceFault(): string | undefined {
  const fd = checked(libc.socket(AF_INET, SOCK_DGRAM | NONBLOCK_CLOEXEC, 0), 'socket');
  try {
    bindToDevice(fd, 'lo');
    return undefined;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Any interface would do; a machine without this one says nothing about what is allowed.
    if (code === 'EADDRNOTAVAIL') return undefined;
    return `the system does not let this user bind to an interface (${code}): that takes Linux 5.7 or the capability CAP_NET_RAW`;
  } finally {
    libc.close(fd);
  }
}
