import { parseHash } from './argon2.ts';

/** The data of a user besides the password. */
export interface Member {
  readonly name: string;
  readonly groups: readonly string[];
  /** The last day, in UTC, on which the user may log in: `2027-01-31`. */
  readonly expires?: string;
  /** Must not log in. @default false */
  readonly disabled?: true;
}

/** One line of the users file: `NAME:HASH:group,group:expires=2027-01-31:disabled`, the last three optional. */
export interface User extends Member {
  /** A PHC string, see `hashPassword`. */
  readonly hash: string;
}

/** A fault in the file. Neither the message nor the excerpt contains a hash or a password. */
export interface UsersFault {
  /** Both count from 1; the column in UTF-16 units. */
  readonly line: number;
  readonly column: number;
  readonly message: string;
  /** The line, with its hash masked. */
  readonly excerpt: string;
  /** The position of the column in the excerpt, from 1. */
  readonly caret: number;
}

export interface ParsedUsers {
  /** The users of the valid lines. */
  readonly users: readonly User[];
  readonly faults: readonly UsersFault[];
}

/** Parses the text of a users file and reports every fault in it. */
export function parseUsers(text: string): ParsedUsers {
  const users: User[] = [];
  const faults: UsersFault[] = [];
  const lineOf = new Map<string, number>();
  for (const [index, source] of text.split('\n').entries()) {
    if (isComment(source)) continue;
    const line = index + 1;
    const report = (offset: number, message: string): void => {
      faults.push({ line, column: offset + 1, message, ...mask(source, offset) });
    };
    const name = nameOf(source);
    const earlier = lineOf.get(name);
    if (earlier === undefined) lineOf.set(name, line);
    else report(0, `this name is already on line ${earlier}`);
    const user = parseLine(source.trimEnd(), report);
    if (user !== undefined && earlier === undefined) users.push(user);
  }
  return { users, faults };
}

/**
 * A report of the first twenty faults: `FILE:LINE:COLUMN: message`, the line, and a caret under the column.
 */
export function formatFaults(file: string, faults: readonly UsersFault[]): string {
  const shown = faults.slice(0, SHOWN).map(({ line, column, message, excerpt, caret }) => {
    return `${file}:${line}:${column}: ${message}\n  ${excerpt}\n${' '.repeat(caret + 1)}^`;
  });
  if (faults.length > SHOWN) shown.push(`${file}: and ${faults.length - SHOWN} more`);
  return shown.join('\n');
}

/** One line, without its line break. */
export function formatUser(user: User): string {
  const fields = [user.name, user.hash];
  if (user.groups.length > 0) fields.push(user.groups.join(','));
  if (user.expires !== undefined) fields.push(`${EXPIRES}${user.expires}`);
  if (user.disabled === true) fields.push(DISABLED);
  return fields.join(':');
}

/** The text with this user added, or replaced if the name exists. Other lines stay as they are. */
export function setUser(text: string, user: User): string {
  const lines = text.split('\n');
  const at = lines.findIndex((line) => !isComment(line) && nameOf(line) === user.name);
  if (at >= 0) return lines.with(at, formatUser(user) + (lines[at]!.endsWith('\r') ? '\r' : '')).join('\n');
  const gap = text === '' || text.endsWith('\n') ? '' : '\n';
  return `${text}${gap}${formatUser(user)}\n`;
}

/** The text without this user. Other lines stay as they are. */
export function removeUser(text: string, name: string): string {
  const lines = text.split('\n');
  return lines.filter((line) => isComment(line) || nameOf(line) !== name).join('\n');
}

/** Whether the user's last day has ended by this time (milliseconds since the epoch). */
export function isExpired({ expires }: Pick<User, 'expires'>, time: number): boolean {
  return expires !== undefined && time >= endOf(expires);
}

/** The end of a day, in milliseconds since the epoch. */
export function endOf(day: string): number {
  return Date.parse(day) + DAY;
}

/** The fault of a user or group name, if any. Names have at most 255 bytes in SOCKS (RFC 1929). */
export function nameFault(name: string): string | undefined {
  if (name === '') return 'is empty';
  if (Buffer.byteLength(name) > 255) return 'is longer than 255 bytes';
  if (name.includes(NOT_UTF8)) return 'is not UTF-8 text';
  if (/[\p{Cc}\p{Zl}\p{Zp}]/u.test(name)) return 'contains a control character';
  if (name.includes(':')) return 'contains ":", which ends the name';
  if (name.trim() !== name) return 'begins or ends with a blank';
  if (name.startsWith('@')) return 'begins with "@", which marks a group';
  if (name.startsWith('#')) return 'begins with "#", which marks a comment';
  return undefined;
}

/** The fault of a group name, if any. */
export function groupFault(name: string): string | undefined {
  if (/[,=]/.test(name)) return 'contains "," or "="';
  if (name === DISABLED) return 'has the name of the mark of disabled users';
  return nameFault(name);
}

/** The fault of a new password, if any (RFC 1929: 1 to 255 bytes). */
export function passwordFault(password: string): string | undefined {
  if (password === '') return 'is empty';
  if (Buffer.byteLength(password) > 255) return 'is longer than 255 bytes';
  if (password.includes(NOT_UTF8)) return 'is not UTF-8 text';
  return undefined;
}

/** The fault of a day, if any. */
export function dayFault(day: string): string | undefined {
  const time = /^\d{4}-\d{2}-\d{2}$/.test(day) ? Date.parse(day) : NaN;
  // February 30 would be parsed as March 2.
  const exists = !Number.isNaN(time) && new Date(time).toISOString().startsWith(day);
  return exists ? undefined : 'is not a calendar date such as 2027-01-31';
}

const SHOWN = 20;
/** The decoders' replacement for invalid UTF-8. */
const NOT_UTF8 = '\u{FFFD}';
const EXPIRES = 'expires=';
const DISABLED = 'disabled';
const DAY = 86_400_000;

function parseLine(line: string, report: (offset: number, message: string) => void): User | undefined {
  let faults = 0;
  const check = (offset: number, what: string, fault: string | undefined): void => {
    if (fault === undefined) return;
    faults++;
    report(offset, `${what} ${fault}`);
  };
  const [name = '', hash, ...rest] = line.split(':');
  check(0, 'the name', nameFault(name));
  let offset = name.length + 1;
  if (hash === undefined) {
    report(line.length, 'a user is written NAME:HASH; `garter user add NAME` makes such a line');
    return undefined;
  }
  const parsed = parseHash(hash);
  if (typeof parsed === 'string') {
    // The rest may be the end of a password that was written here: neither parse nor show it.
    report(offset, `the part after the name ${parsed}; \`garter user add NAME\` makes one`);
    return undefined;
  }
  offset += hash.length + 1;
  let groups: readonly string[] | undefined;
  let expires: string | undefined;
  let disabled = false;
  for (const field of rest) {
    if (!disabled && field === DISABLED) disabled = true;
    else if (expires === undefined && field.startsWith(EXPIRES)) {
      expires = field.slice(EXPIRES.length);
      check(offset + EXPIRES.length, 'the last day', dayFault(expires));
    } else if (!disabled && expires === undefined && groups === undefined) {
      groups = field === '' ? [] : field.split(',');
      let at = offset;
      for (const group of groups) {
        check(at, 'the group', groupFault(group));
        at += group.length + 1;
      }
    } else {
      check(offset, 'this', 'is more than the groups, expires= and disabled');
    }
    offset += field.length + 1;
  }
  if (faults > 0) return undefined;
  return {
    name,
    hash,
    groups: groups ?? [],
    ...(expires !== undefined && { expires }),
    ...(disabled && { disabled }),
  };
}

function isComment(line: string): boolean {
  return /^\s*(#|$)/.test(line);
}

function nameOf(line: string): string {
  return line.trimEnd().split(':', 1)[0]!;
}

/**
 * The line without its secret: `***` replaces the hash, or everything after the name if there is no valid
 * hash. A line without ":" may be a password, and a name that begins with "$" may be a hash: then nothing is
 * shown.
 */
function mask(source: string, offset: number): { readonly excerpt: string; readonly caret: number } {
  const line = source.trimEnd();
  const [name = '', hash, ...rest] = line.split(':');
  const start = hash === undefined || name.startsWith('$') ? 0 : name.length + 1;
  // A second hash further on is just as secret.
  const isHash =
    start > 0 && typeof parseHash(hash!) !== 'string' && !rest.some((field) => field.startsWith('$'));
  const end = isHash ? start + hash!.length : line.length;
  const excerpt = `${line.slice(0, start)}***${line.slice(end)}`;
  const caret = offset < start ? offset : offset < end ? start : offset - (end - start) + 3;
  // Control characters would affect a terminal.
  return {
    excerpt: excerpt.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (one) => NOT_UTF8.repeat(one.length)),
    caret: Math.min(caret, excerpt.length) + 1,
  };
}
