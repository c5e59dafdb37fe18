import type { LogPlace } from '../../audit/sinks/open.ts';
import { FACILITIES } from '../../audit/sinks/syslog.ts';
import type { Facility } from '../../audit/sinks/syslog.ts';
import type { LogPlaceConfig } from '../input/server-config.ts';
import { parseIp } from '../../wire/ip.ts';
import { isKeys, value } from './value.ts';
import type { Schema } from './value.ts';
import { ValueError, either, quote } from '../source/value-error.ts';

const SYSLOG = /^(?:udp|tcp):\/\/(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/;
const NAMES = Object.keys(FACILITIES) as Facility[];

/** `stderr`, `stdout`, `{ file: path }`, or `{ syslog: udp://127.0.0.1:514 }`, `tcp://…` or `local`, with a `facility`. */
export const logPlace: Schema<LogPlace, LogPlaceConfig> = value<LogPlace, LogPlaceConfig>(
  {
    anyOf: [
      { enum: ['stderr', 'stdout'] },
      {
        type: 'object',
        properties: { file: { type: 'string', description: 'The path of a file.' } },
        required: ['file'],
      },
      {
        type: 'object',
        properties: {
          syslog: { type: 'string', description: 'udp://ADDRESS:PORT, tcp://ADDRESS:PORT, or local.' },
          facility: { enum: NAMES, description: 'Default: daemon.' },
        },
        required: ['syslog'],
      },
    ],
  },
  (input) => {
    if (input === 'stderr' || input === 'stdout') return input;
    const keys: Readonly<Record<string, unknown>> = isKeys(input) ? input : {};
    const { file, syslog, facility, ...others } = keys;
    if (Object.keys(others).length === 0) {
      if (typeof file === 'string' && Object.keys(keys).length === 1) return { file };
      if (typeof syslog === 'string' && file === undefined)
        return facility === undefined
          ? { syslog: serverOf(syslog) }
          : { syslog: serverOf(syslog), facility: facilityOf(facility) };
    }
    throw new ValueError(
      `${quote(input)} is not a place for a log`,
      'write stderr, stdout, { file: path } or { syslog: udp://127.0.0.1:514 }',
    );
  },
);

function serverOf(written: string): string {
  if (written === 'local') return written;
  const [, v6, v4, port] = SYSLOG.exec(written) ?? [];
  const ip = parseIp(v6 ?? v4 ?? '');
  if (ip?.family === (v6 === undefined ? 4 : 6) && Number(port) > 0 && Number(port) <= 65_535) return written;
  throw new ValueError(
    `${quote(written)} is not a syslog server`,
    'write udp://127.0.0.1:514 or tcp://127.0.0.1:601 with its address, or local for the one of this machine',
  );
}

function facilityOf(written: unknown): Facility {
  const name = NAMES.find((one) => one === written);
  if (name !== undefined) return name;
  throw new ValueError(`${quote(written)} is not a syslog facility`, `write ${either(NAMES)}`);
}
