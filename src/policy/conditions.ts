import { addressRemedy, isShortRange } from './address-remedy.ts';
import { embeddedIpv4, formatIp, sameIp, unmapped } from '../wire/ip.ts';
import { parseCidr, rangeOf } from './addresses.ts';
import type { AddressRange } from './addresses.ts';
import { isNumericName, parseName } from './names.ts';
import type { PortRange } from './policy.ts';
import { SET_NAMES, rangesOf } from './sets.ts';
import type { SetName } from './sets.ts';

/** An entry of `from` or `to`. `from` takes no names: clients are never looked up. */
export type Condition =
  | { readonly type: 'set'; readonly set: SetName }
  /** A CIDR; a single address is a range of one. */
  | { readonly type: 'range'; readonly range: AddressRange }
  /** A host name, or a suffix with its leading dot. */
  | { readonly type: 'name'; readonly name: string };

/**
 * Parses an entry of `from` or `to`; `undefined` if it is invalid or ambiguous. `conditionRemedy` explains
 * why.
 */
export function parseCondition(text: string): Condition | undefined {
  const set = SET_NAMES.find((name) => name === text.toLowerCase());
  if (set !== undefined) return { type: 'set', set };
  const cidr = parseCidr(text);
  if (cidr !== undefined) {
    const range = rangeOf(cidr);
    // 10.0.3.1/24 could mean the network or the single address.
    if (!sameIp(cidr.ip, range.first) || isMapped(range)) return undefined;
    return { type: 'range', range };
  }
  const suffix = text.startsWith('.');
  const name = parseName(suffix ? text.slice(1) : text);
  if (name === undefined || isNumericName(name) || isShortRange(name)) return undefined;
  // `metadata.` would be a host name, and a rule denying it would not deny what its author meant.
  if (!suffix && isSetName(name)) return undefined;
  return { type: 'name', name: suffix ? `.${name}` : name };
}

/** What to write instead of an entry that `parseCondition` rejects. */
export function conditionRemedy(text: string): string {
  const cidr = parseCidr(text);
  if (cidr !== undefined) {
    const range = rangeOf(cidr);
    if (isMapped(range)) return 'write the IPv4 address or network that ::ffff:0:0/96 stands for';
    const address = formatIp(cidr.ip);
    return `write ${formatIp(range.first)}/${cidr.size} for the network, or ${address} for the one address`;
  }
  const remedy = addressRemedy(text);
  if (remedy !== undefined) return remedy;
  if (text.startsWith('*.') && parseCondition(text.slice(1)) !== undefined) return `write ${text.slice(1)}`;
  if (text === '*' || text === '.') return 'write any';
  if (text.includes('%')) return 'remove the zone: rules ignore it';
  const name = parseName(text);
  if (name !== undefined && isSetName(name)) return `write ${name} for the set`;
  if (parseCondition(text.replace(/:\d+$/, '')) !== undefined) return 'write the port under `port`';
  return `write a CIDR, an address, a name, a suffix such as .example.com, or one of ${SET_NAMES.join(', ')}`;
}

/** The ranges that a condition lists; names, `any`, `public` and `self` list none. */
export function rangesIn(condition: Condition): readonly AddressRange[] {
  if (condition.type === 'range') return [condition.range];
  if (condition.type === 'name') return [];
  const { set } = condition;
  return set === 'any' || set === 'public' || set === 'self' ? [] : rangesOf(set);
}

/** Parses `443` or `8000-8999`, each from 0 to 65535; `undefined` for anything else. */
export function parsePortRange(text: string): PortRange | undefined {
  const [, from, to = from] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text) ?? [];
  if (from === undefined) return undefined;
  const [first, last] = [Number(from), Number(to)];
  return first <= last && last <= 65_535 ? { first, last } : undefined;
}

function isSetName(name: string): boolean {
  return SET_NAMES.some((set) => set === name);
}

/**
 * A range of IPv4-mapped addresses: addresses are unmapped before they are compared, so it would never match.
 */
function isMapped({ first, last }: AddressRange): boolean {
  return first.family === 6 && unmapped(first) !== first && unmapped(last) !== last;
}

/**
 * A range within NAT64 or 6to4. Allowing rules match these addresses only by `any` and `public`, so naming
 * the range has no effect.
 */
export function carriesIpv4({ first, last }: AddressRange): boolean {
  return embeddedIpv4(first) !== undefined && embeddedIpv4(last) !== undefined;
}
