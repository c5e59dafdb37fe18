import { SET_NAMES } from '../../policy/sets.ts';
import type { SetName } from '../../policy/sets.ts';
import { nearest } from '../source/suggestion.ts';

/** Words of other programs and of everyday speech for the sets. */
const WORDS: Readonly<Record<string, SetName>> = {
  all: 'any',
  anything: 'any',
  everything: 'any',
  everyone: 'any',
  everybody: 'any',
  external: 'public',
  global: 'public',
  internet: 'public',
  outside: 'public',
  wan: 'public',
  world: 'public',
  inside: 'private',
  internal: 'private',
  lan: 'private',
  local: 'private',
  rfc1918: 'private',
  lo: 'loopback',
  broadcast: 'reserved',
  bogon: 'reserved',
  bogons: 'reserved',
  imds: 'metadata',
};

/** The set that was probably meant by a name without a dot. */
export function setMeantBy(written: string): SetName | undefined {
  if (written.includes('.')) return undefined;
  const word = written.toLowerCase();
  if (Object.hasOwn(WORDS, word)) return WORDS[word];
  const near = nearest(written, SET_NAMES);
  return SET_NAMES.find((set) => set === near);
}
