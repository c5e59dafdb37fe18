import type { LogSettings } from '../../audit/log.ts';
import { parseIp } from '../../wire/ip.ts';
import { isKeys } from './value.ts';
import { ValueError, quote } from '../source/value-error.ts';

const SYSLOG = /^(?:udp|tcp):\/\/(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/;

/** `stderr`, `{ file: path }`, `{ syslog: udp://127.0.0.1:514 }`, `{ syslog: tcp://… }` or `{ syslog: local }`. */
export function logPlace(input: unknown): LogSettings['to'] {
  if (input === 'stderr') return input;
  const [[key, value] = [], ...others] = isKeys(input) ? Object.entries(input) : [];
  if (others.length === 0 && typeof value === 'string') {
    if (key === 'file') return { file: value };
    if (key === 'syslog') return { syslog: syslog(value) };
  }
  throw new ValueError(
    `${quote(input)} is not a place for a log`,
    'write to: stderr, to: { file: path }, or to: { syslog: udp://127.0.0.1:514 }',
  );
}

function syslog(written: string): string {
  if (written === 'local') return written;
  const [, v6, v4, port] = SYSLOG.exec(written) ?? [];
  const ip = parseIp(v6 ?? v4 ?? '');
  if (ip?.family === (v6 === undefined ? 4 : 6) && Number(port) > 0 && Number(port) <= 65_535) return written;
  throw new ValueError(
    `${quote(written)} is not a syslog server`,
    'write udp://127.0.0.1:514 or tcp://127.0.0.1:601 with its address, or local for the one of this machine',
  );
}
