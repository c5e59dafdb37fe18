import type { ListFile, Ports } from '../input/values.ts';
import { groupFault, nameFault } from '../../auth/users-file.ts';
import { conditionRemedy, parseCondition, parsePortRange } from '../../policy/conditions.ts';
import type { Condition } from '../../policy/conditions.ts';
import type { PortRange } from '../../policy/policy.ts';
import { SET_NAMES } from '../../policy/sets.ts';
import { nearestService, portOf } from './service-ports.ts';
import { setMeantBy } from './set-words.ts';
import { isKeys, plain, text, value } from './value.ts';
import type { Hints, Schema } from './value.ts';
import { ValueError, notYet, quote } from '../source/value-error.ts';

/** An entry of a condition, or a file with more of them. */
export type Entry<T> = T | ListFile;

/** The conditions of a section as written: some of their entries may be in files. */
export type WithFiles<T> = {
  readonly [K in keyof T]: K extends 'from' | 'to' | 'user' | 'port' ? Filed<T[K]> : T[K];
};

type Filed<T> = T extends readonly (infer E)[] ? readonly Entry<E>[] : T;

export function isListFile(entry: unknown): entry is ListFile {
  return isKeys(entry) && 'file' in entry;
}

/** The name or address of a listener. */
export const listenerRef: Schema<string, string> = value(
  { type: 'string', examples: ['office', '10.0.3.1:1080'] },
  (input) => text(input, 'the name or the address of a listener'),
);

const FILE_HINT = {
  type: 'string',
  description: 'The path of a file with more entries: one a line, # comments.',
};
const FROM_HINTS: Hints = { type: 'string', examples: ['10.0.0.0/8', ...SET_NAMES] };
const PORT_HINTS: Hints = { type: ['integer', 'string'], examples: [443, '8000-8999', 'https'] };

export const toEntry: Schema<Entry<string>, Entry<string>> = orFile(
  { type: 'string', examples: [...SET_NAMES, '192.0.2.0/24', 'www.example.com', '.example.com'] },
  parseTo,
);

/** An entry of `from`. */
export const fromCondition: Schema<string, string> = value(FROM_HINTS, parseFrom);
export const fromEntry: Schema<Entry<string>, Entry<string>> = orFile(FROM_HINTS, parseFrom);

/** A user name, or a group with a leading @. */
export const userEntry: Schema<Entry<string>, Entry<string>> = orFile(
  { type: 'string', examples: ['alice', '@staff'] },
  parseUser,
);

/** A port, a range or a service. */
export const ports: Schema<PortRange, Ports> = value(PORT_HINTS, parsePorts);
export const portEntry: Schema<Entry<PortRange>, Entry<Ports>> = orFile(PORT_HINTS, parsePorts);

/** Throws a ValueError, like the others. */
export function parseTo(input: unknown): string {
  const written = plain(input) || text(input, 'a CIDR, an address, a name or a set');
  const condition = parseCondition(written);
  if (condition !== undefined) return canonical(condition, written);
  throw new ValueError(`${quote(written)} is not a destination`, conditionRemedy(written));
}

export function parseFrom(input: unknown): string {
  const written = text(input, 'a CIDR, an address, or a set such as private');
  const condition = parseCondition(written);
  if (condition === undefined)
    throw new ValueError(`${quote(written)} is not an address, a network or a set`, conditionRemedy(written));
  if (condition.type !== 'name') return canonical(condition, written);
  const set = setMeantBy(written);
  throw new ValueError(
    `${quote(written)} is a name, but clients are known only by address`,
    set === undefined ? 'write their address or network' : `did you mean the set ${set}?`,
  );
}

export function parseUser(input: unknown): string {
  const written = text(input, 'a name or a @group, in quotes: "alice", "@staff"');
  if (written.startsWith('ident:')) throw notYet('a name that is only claimed (ident:)');
  const isGroup = written.startsWith('@');
  const fault = isGroup ? groupFault(written.slice(1)) : nameFault(written);
  if (fault === undefined) return written;
  throw new ValueError(
    isGroup ? `the group ${quote(written.slice(1))} ${fault}` : `${quote(written)} ${fault}`,
    'write a user name, or a group such as "@staff"',
  );
}

export function parsePorts(input: unknown): PortRange {
  const written = plain(input);
  const range = parsePortRange(written);
  if (range !== undefined) return range;
  const port = portOf(written);
  if (port !== undefined) return { first: port, last: port };
  const meant = /^[a-z]/i.test(written) ? nearestService(written) : undefined;
  throw new ValueError(
    `${quote(input)} is not a port`,
    meant === undefined
      ? 'write a port such as 443, a range such as 8000-8999, up to 65535, or a service such as https'
      : `did you mean ${meant}?`,
  );
}

/** A value, or `{ file: … }`. */
function orFile<T, In>(hints: Hints, parse: (input: unknown) => T): Schema<Entry<T>, Entry<In>> {
  const file = { type: 'object', properties: { file: FILE_HINT }, required: ['file'] };
  return value({ anyOf: [hints, file] }, (input) => {
    if (!isListFile(input)) return parse(input);
    const [, ...more] = Object.keys(input);
    if (more.length > 0 || typeof input.file !== 'string' || input.file === '')
      throw new ValueError('this is not a list in a file', 'write { file: path }');
    return { file: input.file };
  });
}

/** A set or name in the form in which it is compared; a network as written. */
function canonical(condition: Condition, written: string): string {
  switch (condition.type) {
    case 'set':
      return condition.set;
    case 'name':
      return condition.name;
    case 'range':
      return written;
    default:
      return condition satisfies never;
  }
}
