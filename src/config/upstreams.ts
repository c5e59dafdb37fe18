import { resolve } from 'node:path';
import type { UpstreamOptions } from '../route/options.ts';
import type { Draft } from './draft.ts';
import type { Path, Reports } from './problem.ts';
import type { UpstreamRef } from './proxy-url.ts';
import type { MemberSection, UpstreamSection } from './schema.ts';
import { readSecret } from './secret.ts';
import { nearest } from './suggestion.ts';
import { ValueError, either, quote } from './value-error.ts';

/** Members of a group that are tried for one connection. */
const TRIES = 3;
/** Failures in a row until a member is passed over. */
const FAIL = 1;

/** The upstreams of a draft, each name replaced by what it stands for. A name that leads back to itself is an error. */
export class Upstreams {
  /** `undefined` where they could not be read, which has been reported. */
  readonly #sections: Draft['upstreams'];
  readonly #directory: string;
  readonly #reports: Reports;
  readonly #made = new Map<string, UpstreamOptions | undefined>();
  /** Those that are being made: one of them again would have no end. */
  readonly #under: string[] = [];

  constructor(draft: Draft, directory: string, reports: Reports) {
    const { upstreams = {} } = draft;
    this.#sections = 'upstreams' in draft ? draft.upstreams : upstreams;
    this.#directory = directory;
    this.#reports = reports;
    for (const name of Object.keys(upstreams)) this.#named(name, ['upstreams', name]);
  }

  /** What is meant by a URL or name at a path; `undefined` when it is faulty, which is reported. */
  find(ref: UpstreamRef, path: Path): UpstreamOptions | undefined {
    return 'name' in ref ? this.#named(ref.name, path) : { type: 'server', ...ref };
  }

  #named(name: string, path: Path): UpstreamOptions | undefined {
    const { error } = this.#reports;
    if (this.#under.includes(name)) {
      const loop = [...this.#under.slice(this.#under.indexOf(name)), name];
      error(path, `${quote(name)} leads back to itself: ${loop.join(', ')}`, 'take one of these steps away');
      return undefined;
    }
    if (this.#made.has(name)) return this.#made.get(name);
    if (this.#sections === undefined) return undefined;
    const section = Object.hasOwn(this.#sections, name) ? this.#sections[name] : undefined;
    if (section === undefined) {
      this.#reportUnknown(name, Object.keys(this.#sections), path);
      return undefined;
    }
    this.#under.push(name);
    const made = this.#make(name, section, ['upstreams', name]);
    this.#under.pop();
    this.#made.set(name, made);
    return made;
  }

  #reportUnknown(name: string, known: readonly string[], path: Path): void {
    const meant = nearest(name, known);
    const remedy =
      meant !== undefined
        ? `did you mean ${meant}?`
        : `write a URL such as socks5h://10.0.3.1:1080${known.length > 0 ? `, or ${either(known)}` : `, or add it under upstreams`}`;
    this.#reports.error(path, `there is no upstream ${quote(name)}`, remedy);
  }

  #make(name: string, section: UpstreamSection, path: Path): UpstreamOptions | undefined {
    const { error } = this.#reports;
    const kinds = (['url', 'servers', 'chain'] as const).filter((key) => section[key] !== undefined);
    if (kinds.length !== 1) {
      error(path, 'an upstream is one of url, servers and chain', `write ${name}: socks5h://10.0.3.1:1080`);
      return undefined;
    }
    for (const key of ['choose', 'health', 'tries'] as const) {
      if (section[key] !== undefined && section.servers === undefined)
        error([...path, key], `only a group of servers has ${key}`, 'take it away', 'key');
    }
    for (const key of ['login', 'credentials'] as const) {
      if (section[key] !== undefined && section.url === undefined)
        error([...path, key], `${key} belongs to a single server`, 'write it beside its url', 'key');
    }
    if (section.url !== undefined) return this.#server(section, path);
    if (section.chain !== undefined) return this.#chain(name, section.chain, path);
    return this.#group(name, section, path);
  }

  #server(section: UpstreamSection | MemberSection, path: Path): UpstreamOptions | undefined {
    const { url, login, credentials } = section;
    if (url === undefined) return undefined;
    const found = this.find(url, [...path, 'url']);
    if (found === undefined || (login === undefined && credentials === undefined)) return found;
    if (found.type !== 'server') {
      this.#reports.error(
        path,
        'these credentials are for no single server',
        'write them where its URL stands',
      );
      return undefined;
    }
    const shown = [found.credentials, login, credentials].filter((one) => one !== undefined);
    if (shown.length > 1) {
      this.#reports.error(path, 'credentials stand here twice', 'leave all but one of them out');
      return undefined;
    }
    if (credentials === 'client') return { ...found, credentials };
    const password = this.#password(login!.password, [...path, 'login', 'password']);
    return { ...found, credentials: { username: login!.name, password } };
  }

  #chain(name: string, refs: readonly UpstreamRef[], path: Path): UpstreamOptions | undefined {
    const hops = refs.map((ref, i) => this.find(ref, [...path, 'chain', i]));
    return hops.includes(undefined)
      ? undefined
      : { type: 'chain', label: name, hops: hops as readonly UpstreamOptions[] };
  }

  #group(name: string, section: UpstreamSection, path: Path): UpstreamOptions | undefined {
    const { servers = [], choose = 'order', health = {}, tries = TRIES } = section;
    const members = servers.flatMap((member, i) => {
      const way = this.#server(member, [...path, 'servers', i]);
      return way === undefined ? [] : [{ way, weight: member.weight ?? 1 }];
    });
    if (members.length < servers.length) return undefined;
    return { type: 'group', label: name, members, choose, health: { fail: health.fail ?? FAIL }, tries };
  }

  #password(given: string | { readonly file: string }, path: Path): string {
    if (typeof given === 'string') return given;
    try {
      return readSecret(resolve(this.#directory, given.file));
    } catch (fault) {
      if (!(fault instanceof ValueError)) throw fault;
      this.#reports.error(path, fault.message, fault.remedy);
      return '';
    }
  }
}
