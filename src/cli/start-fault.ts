import { UsersFileError } from '../auth/users-disk.ts';
import type { Obstacle } from '../config/checks/obstacles.ts';
import { formatProblems } from '../config/source/problem.ts';
import { codeOf } from '../wire/error-code.ts';

/**
 * Why the server could not start or change, and what to do about it, as lines: those of the obstacles on this
 * machine that explain the error, with their places in the configuration, or else the error itself.
 */
export function startFault(error: unknown, obstacles: readonly Obstacle[]): string {
  const code = codeOf(error) ?? '';
  const found = obstacles.filter(({ codes }) => codes.includes(code));
  return found.length === 0 ? `${faultOf(error)}\n` : formatProblems(found, 'error');
}

function faultOf(error: unknown): string {
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
