import type { CommandWord, Secret } from '../input/values.ts';
import { nameFault, passwordFault } from '../../auth/users-file.ts';
import { conditionRemedy, parseCondition } from '../../policy/conditions.ts';
import { isLocalhost, isNumericName, parseName } from '../../policy/names.ts';
import { nat64Remedy } from '../../policy/nat64.ts';
import type { Rate } from '../../policy/policy.ts';
import type { EarlyDrop } from '../../server/settings.ts';
import type { HostPort } from '../../wire/address.ts';
import { formatIp, parseIp } from '../../wire/ip.ts';
import { INTERFACE, literalAddress } from './literal-address.ts';
import { parseBandwidth, parseQuota, parseRate, parseSize, parseTime } from './units.ts';
import { choice, isKeys, plain, text, value } from './value.ts';
import type { Schema } from './value.ts';
import { ValueError, quote } from '../source/value-error.ts';

/** The scalar values of a configuration and their syntax. */

export const time: Schema<number, string> = value(
  { type: 'string', pattern: '^\\d+(ms|s|m|h|d)$' },
  parseTime,
);

const SIZE = '^\\d+(\\.\\d+)?(B|[kKMGT]B|[KMGT]iB)';

export const size: Schema<number, string> = value({ type: 'string', pattern: `${SIZE}$` }, parseSize);

export const bandwidth: Schema<number, string> = value(
  { type: 'string', pattern: `${SIZE}/s$` },
  parseBandwidth,
);

export const quota: Schema<number, string> = value({ type: 'string', pattern: `${SIZE}/day$` }, parseQuota);

export const rate: Schema<Rate, string> = value({ type: 'string', pattern: '^\\d+/[smhd]$' }, parseRate);

/** `key`: the key that it is the value of. */
export function truth(key: string): Schema<boolean, boolean> {
  return value({ type: 'boolean' }, (input) => {
    if (typeof input === 'boolean') return input;
    throw new ValueError(`${quote(input)} is not true or false`, `write ${key}: true or ${key}: false`);
  });
}

export const count: Schema<number, number> = value({ type: 'integer', minimum: 1 }, (input) => {
  const number = /^\d{1,15}$/.test(plain(input)) ? Number(input) : 0;
  if (number > 0) return number;
  throw new ValueError(`${quote(input)} is not a count`, 'write a whole number from 1');
});

export const portNumber: Schema<number, number> = value({ type: 'integer', minimum: 1 }, (input) => {
  const number = /^\d{1,5}$/.test(plain(input)) ? Number(input) : 0;
  if (number > 0 && number <= 65_535) return number;
  throw new ValueError(`${quote(input)} is not a port`, 'write one from 1 to 65535');
});

/** `60:30:100`, like OpenSSH's MaxStartups. */
export const startups: Schema<EarlyDrop, string> = value(
  { type: 'string', pattern: '^\\d+:\\d+:\\d+$', examples: ['60:30:100'] },
  (input) => {
    const [, ...numbers] = /^(\d{1,7}):(\d{1,3}):(\d{1,7})$/.exec(plain(input)) ?? [];
    const [start = 0, percent = 0, full = 0] = numbers.map(Number);
    if (start > 0 && percent > 0 && percent <= 100 && full >= start) return { start, percent, full };
    throw new ValueError(
      `${quote(input)} is not a start, a percentage and an end`,
      'write 60:30:100: from 60 on, 30 % of new ones are dropped, increasing to all at 100',
    );
  },
);

/** A file mode such as 0660; YAML parses it as a number whose digits are still octal. */
export const mode: Schema<number, number | string> = value(
  { type: ['string', 'integer'], examples: ['0660'] },
  (input) => {
    if (/^0?[0-7]{3}$/.test(plain(input))) return Number.parseInt(plain(input), 8);
    throw new ValueError(`${quote(input)} is not the mode of a file`, 'write mode: "0660", or another mode');
  },
);

export const path: Schema<string, string> = value({ type: 'string' }, (input) =>
  text(input, 'the path of a file'),
);

export const interfaceName: Schema<string, string> = value(
  { type: 'string', examples: ['eth0'] },
  (input) => {
    if (typeof input === 'string' && INTERFACE.test(input)) return input;
    throw new ValueError(`${quote(input)} is not the name of a network interface`, 'write one such as eth0');
  },
);

/** A name for records and messages. */
export const label: Schema<string, string> = value({ type: 'string' }, (input) => {
  if (typeof input === 'string' && /^[\p{L}\p{N}._-]{1,64}$/u.test(input)) return input;
  throw new ValueError(
    `${quote(input)} is not a name for a rule`,
    'write up to 64 letters, digits, dots and hyphens, such as web-only',
  );
});

/** A CIDR or a single address. */
export const network: Schema<string, string> = value(
  { type: 'string', examples: ['198.51.100.0/24'] },
  (input) => {
    const written = text(input, 'a CIDR or an address');
    const condition = parseCondition(written);
    if (condition?.type === 'range') return written;
    throw new ValueError(
      `${quote(written)} is not a network`,
      condition === undefined ? conditionRemedy(written) : 'write a CIDR or an address',
    );
  },
);

/** A NAT64 prefix. */
export const nat64: Schema<string, string> = value(
  { type: 'string', examples: ['64:ff9b::/96'] },
  (input) => {
    const written = text(input, 'the prefix of a NAT64, such as 64:ff9b::/96');
    const remedy = nat64Remedy(written);
    if (remedy === undefined) return written;
    throw new ValueError(`${quote(written)} is not the prefix of a NAT64`, remedy);
  },
);

export const literal: Schema<string, string> = value(
  { type: 'string', examples: ['203.0.113.10'] },
  (input) => {
    if (typeof input === 'string' && parseIp(input) !== undefined) return input;
    throw new ValueError(
      `${quote(input)} is not an address`,
      'write one such as 203.0.113.10 or 2001:db8::10',
    );
  },
);

/** An address of this machine as others see it, or a name for it. */
export const advertisedHost: Schema<string, string> = value(
  { type: 'string', examples: ['203.0.113.10', 'proxy.example.com'] },
  (input) => {
    const written = text(input, 'an address such as 203.0.113.10, or a name');
    if (parseIp(written) !== undefined) return written;
    const name = parseName(written);
    if (name !== undefined && !isNumericName(name)) return name;
    throw new ValueError(
      `${quote(written)} is neither an address nor a name`,
      'write one such as 203.0.113.10, 2001:db8::10 or proxy.example.com',
    );
  },
);

/** A name whose addresses can be given. */
export const hostName: Schema<string, string> = value(
  { type: 'string', examples: ['db.internal'] },
  (input) => {
    const written = text(input, 'a host name such as db.internal');
    const name = parseName(written);
    if (name === undefined || isNumericName(name))
      throw new ValueError(`${quote(written)} is not a host name`, 'write a whole name such as db.internal');
    if (isLocalhost(name))
      throw new ValueError(`${quote(written)} is always this machine (RFC 6761)`, 'write another name');
    return name;
  },
);

/** A name or an address, with a port. */
export const destination: Schema<HostPort, string> = value(
  { type: 'string', examples: ['www.example.com:80'] },
  (input) => {
    const written = text(input, 'a name or an address with a port, such as www.example.com:80');
    const [, bracketed, plainHost = '', digits] =
      /^(?:\[([\da-f:.]+)\]|([^:[\]]+)):(\d{1,5})$/i.exec(written) ?? [];
    const ip = parseIp(bracketed ?? plainHost);
    const host = ip === undefined ? parseName(plainHost) : formatIp(ip);
    const port = Number(digits);
    if (host !== undefined && port > 0 && port <= 65_535) return { host, port };
    throw new ValueError(
      `${quote(written)} is not a destination with a port`,
      'write one such as www.example.com:80',
    );
  },
);

/** An address of this machine, or the name of one of its network interfaces. */
export const localAddress: Schema<string, string> = value(
  { type: 'string', examples: ['192.0.2.1', 'eth0'] },
  (input) => {
    const written = text(input, 'an address of this machine, or one of its interfaces');
    const address = literalAddress(written);
    if (address !== undefined) return address;
    // 999.1.1.1 is a mistyped address, although Linux would accept it as an interface name.
    if (INTERFACE.test(written) && !/^[\d.]+$/.test(written)) return written;
    throw new ValueError(
      `${quote(written)} is neither an address nor an interface`,
      'write one of this machine, such as 192.0.2.1 or eth0',
    );
  },
);

export const command: Schema<CommandWord, CommandWord> = choice<CommandWord>([
  'connect',
  'bind',
  'udp',
  'resolve',
  'any',
]);

export const userName: Schema<string, string> = value({ type: 'string', examples: ['alice'] }, (input) => {
  const fault = nameFault(text(input, 'a user name, in quotes'));
  if (fault === undefined) return String(input);
  throw new ValueError(`${quote(input)} ${fault}`, 'write a user name such as alice');
});

/** A password, or the path of a file that contains it. */
export const secret: Schema<string | { readonly file: string }, Secret> = value(
  { type: ['string', 'object'], examples: ['${ALICE_PASSWORD}', { file: 'alice.password' }] },
  (input) => {
    const remedy = 'write "${NAME}" to take it from the environment, or { file: path }';
    if (isKeys(input) && typeof input.file === 'string' && Object.keys(input).length === 1)
      return { file: input.file };
    if (typeof input !== 'string') throw new ValueError('this is not a password', remedy);
    const fault = passwordFault(input);
    if (fault !== undefined) throw new ValueError(`the password ${fault}`, remedy);
    return input;
  },
);

const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];

/** `sat`, or `mon-fri`: 0 = Sunday … 6 = Saturday. */
export const days: Schema<readonly number[], string> = value(
  { type: 'string', examples: ['mon-fri', 'sat'] },
  (input) => {
    const [first = -1, last = first, ...more] = plain(input)
      .toLowerCase()
      .split('-')
      .map((day) => DAYS.indexOf(day));
    if (first < 0 || last < 0 || more.length > 0) {
      throw new ValueError(
        `${quote(input)} is not a day`,
        `write ${DAYS.join(', ')}, or a range such as mon-fri`,
      );
    }
    return Array.from({ length: ((last - first + 7) % 7) + 1 }, (_, i) => (first + i) % 7);
  },
);

/** `08:00-18:00`, in minutes after midnight. */
export const hours: Schema<{ readonly start: number; readonly end: number }, string> = value(
  { type: 'string', examples: ['08:00-18:00', '22:00-06:00'] },
  (input) => {
    const [, ...times] = /^(\d\d):([0-5]\d)-(\d\d):([0-5]\d)$/.exec(plain(input)) ?? [];
    const [fromHour = 24, fromMinute = 0, toHour = 24, toMinute = 0] = times.map(Number);
    const [start, end] = [fromHour * 60 + fromMinute, toHour * 60 + toMinute];
    if (start < 1440 && end <= 1440 && start !== end) return { start, end };
    throw new ValueError(
      `${quote(input)} is not a span of hours`,
      'write "08:00-18:00", or "22:00-06:00" to run past midnight',
    );
  },
);

export const zone: Schema<string, string> = value(
  { type: 'string', examples: ['Europe/Oslo', 'UTC'] },
  (input) => {
    const name = text(input, 'a time zone such as Europe/Oslo or UTC');
    try {
      return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone;
    } catch {
      throw new ValueError(`${quote(name)} is not a time zone`, 'write one such as Europe/Oslo or UTC');
    }
  },
);
