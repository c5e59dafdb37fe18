import { UsersFileError } from '../auth/users-disk.ts';
import { codeOf } from '../wire/error-code.ts';

/** Why the server could not start or change, and what to do about it. */
export function startFault(error: unknown): string {
  const { message, syscall } = error as NodeJS.ErrnoException;
  switch (codeOf(error)) {
    case 'EADDRINUSE':
      return `garter: ${message}: another program listens there, or this one does with its old configuration; stop it, or choose another port`;
    case 'EACCES':
      if (syscall !== 'listen') return `garter: ${message}`;
      return `garter: ${message}; a port below 1024 needs root or the capability CAP_NET_BIND_SERVICE; a unix socket needs a writable directory`;
    case 'EADDRNOTAVAIL':
      return `garter: ${message}: this machine does not have that address`;
    default:
      return error instanceof UsersFileError ? message : `garter: ${message}`;
  }
}
