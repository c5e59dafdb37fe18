import { MSG_DONTWAIT, MSG_ERRQUEUE } from './constants.ts';
import { libc } from './libc.ts';
import { addressOf, bytes, int32, reserve } from './memory.ts';

/** Errors taken at a time. */
const MAX_ERRORS = 64;
/**
 * The origin of errors raised by this machine rather than by ICMP; the failed call has already returned
 * these.
 */
const SO_EE_ORIGIN_LOCAL = 1;

// struct msghdr on 64 bits, in words.
const CONTROL = 8;
const CONTROL_LENGTH = 10;
const CONTROL_SIZE = 256;
/** Bytes of a struct cmsghdr; a struct sock_extended_err follows: errno (4 bytes), then the origin. */
const CMSGHDR = 16;

const message = reserve(56);
const control = reserve(CONTROL_SIZE);
int32[(message >> 2) + CONTROL] = addressOf(control);

/**
 * The errno values of ICMP errors for datagrams that a socket with IP_RECVERR has sent. Also clears the
 * pending error, which would fail the next call.
 */
export function takeErrors(fd: number): readonly number[] {
  const codes: number[] = [];
  for (let i = 0; i < MAX_ERRORS; i++) {
    int32[(message >> 2) + CONTROL_LENGTH] = CONTROL_SIZE;
    if (libc.recvmsg(fd, addressOf(message), MSG_ERRQUEUE | MSG_DONTWAIT) < 0) break;
    const error = control + CMSGHDR;
    if (bytes[error + 4] !== SO_EE_ORIGIN_LOCAL) codes.push(int32[error >> 2]!);
  }
  return codes;
}
