import { constants } from 'node:os';

const { errno: numbers } = constants;
const names = new Map<number, string>(Object.entries(numbers).map(([name, number]) => [number, name]));

export const EAGAIN: number = numbers.EAGAIN;
export const EINPROGRESS: number = numbers.EINPROGRESS;
export const ENODEV: number = numbers.ENODEV;
export const EMFILE: number = numbers.EMFILE;
export const ENFILE: number = numbers.ENFILE;
export const ENOBUFS: number = numbers.ENOBUFS;
export const ENOMEM: number = numbers.ENOMEM;

/** `ECONNREFUSED`, … */
export function errorName(errno: number): string {
  return names.get(errno) ?? `E${errno}`;
}

/** An error like Node's: `connect ECONNREFUSED 127.0.0.1:80`. */
export function systemError(errno: number | string, syscall: string, about?: string): Error {
  const code = typeof errno === 'string' ? errno : errorName(errno);
  const message = about === undefined ? `${syscall} ${code}` : `${syscall} ${code} ${about}`;
  return Object.assign(new Error(message), { code, syscall });
}
