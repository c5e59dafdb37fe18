import { isHere, mayGoDirectly } from '../../route/options.ts';
import type { HealthOptions, LinkOptions, ServerOptions, UpstreamOptions } from '../../route/options.ts';
import type { ServiceName } from '../schema/discovery.ts';
import type { Draft } from '../schema/draft.ts';
import type { Files } from '../source/files.ts';
import type { Path, Reports } from '../source/problem.ts';
import { checkCredentials, showsPassword } from '../schema/proxy-url.ts';
import type { UpstreamRef } from '../schema/proxy-url.ts';
import type { HealthSection, MemberSection, UpstreamSection } from '../schema/routes.ts';
import { readSecret } from '../source/secret.ts';
import type { Source } from '../source/source.ts';
import { nearest } from '../source/suggestion.ts';
import { completeLink } from './tls.ts';
import { ValueError, either, quote } from '../source/value-error.ts';

/** Members of a group tried for one connection. */
const TRIES = 3;
/** Consecutive failures before a member is skipped. */
const FAIL = 1;
/** Consecutive successful checks before it is used again. */
const RECOVER = 1;
const HOW_SECRET =
  'write ${NAME} for the password and set NAME in the environment, or login: { name: alice, password: { file: path } } next to url';
const HOW_TLS = 'write socks5h+tls:// or https:// in its URL, or take tls away';

/**
 * The upstreams of a draft, with names replaced by the upstreams they refer to. A circular reference is an
 * error.
 */
export class Upstreams {
  /** `undefined` where they could not be read, which has been reported. */
  readonly #sections: Draft['upstreams'];
  readonly #files: Files;
  readonly #source: Source;
  readonly #reports: Reports;
  readonly #made = new Map<string, UpstreamOptions | undefined>();
  /** Upstreams being resolved, to detect circular references. */
  readonly #under: string[] = [];

  constructor(draft: Draft, files: Files, source: Source, reports: Reports) {
    const { upstreams = {} } = draft;
    this.#sections = 'upstreams' in draft ? draft.upstreams : upstreams;
    this.#files = files;
    this.#source = source;
    this.#reports = reports;
    if (Object.hasOwn(upstreams, 'direct'))
      reports.error(
        ['upstreams', 'direct'],
        'via: direct means no upstream',
        'give this one another name',
        'key',
      );
    for (const name of Object.keys(upstreams)) this.#named(name, ['upstreams', name]);
  }

  /** The upstream for a URL or name at a path; `undefined` when it is faulty, which is reported. */
  find(ref: UpstreamRef, path: Path): UpstreamOptions | undefined {
    if ('name' in ref) return this.#named(ref.name, path);
    if (showsPassword(this.#source.written(path) ?? ''))
      this.#reports.error(path, 'secrets must not be written here', HOW_SECRET);
    return { type: 'server', ...ref };
  }

  #named(name: string, path: Path): UpstreamOptions | undefined {
    const { error } = this.#reports;
    if (this.#under.includes(name)) {
      const loop = [...this.#under.slice(this.#under.indexOf(name)), name];
      error(path, `${quote(name)} leads back to itself: ${loop.join(', ')}`, 'remove one of these steps');
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
    const upstream = this.#make(name, section, ['upstreams', name]);
    const made =
      upstream !== undefined && section.udp === 'clear' ? { ...upstream, udp: section.udp } : upstream;
    this.#under.pop();
    this.#made.set(name, made);
    return made;
  }

  #reportUnknown(name: string, known: readonly string[], path: Path): void {
    if (name === 'direct') {
      this.#reports.error(
        path,
        'direct is not a server',
        'write it at the end of a group, or via: direct in a route',
      );
      return;
    }
    const meant = nearest(name, known);
    const remedy =
      meant !== undefined
        ? `did you mean ${meant}?`
        : `write a URL such as socks5h://10.0.3.1:1080${known.length > 0 ? `, or ${either(known)}` : `, or add it under upstreams`}`;
    this.#reports.error(path, `there is no upstream ${quote(name)}`, remedy);
  }

  #make(name: string, section: UpstreamSection, path: Path): UpstreamOptions | undefined {
    const { error } = this.#reports;
    const kinds = (['url', 'servers', 'chain', 'discover'] as const).filter(
      (key) => section[key] !== undefined,
    );
    if (kinds.length !== 1) {
      error(
        path,
        'an upstream needs exactly one of url, servers, chain and discover',
        `write ${name}: socks5h://10.0.3.1:1080`,
      );
      return undefined;
    }
    for (const key of ['choose', 'health', 'tries'] as const) {
      if (section[key] !== undefined && section.servers === undefined && section.discover === undefined)
        error([...path, key], `only a group of servers has ${key}`, 'remove it', 'key');
    }
    for (const key of ['login', 'credentials', 'tls'] as const) {
      if (section[key] !== undefined && section.url === undefined && section.discover === undefined)
        error([...path, key], `${key} belongs to a single server`, 'move it next to its url', 'key');
    }
    if (section.url !== undefined) return this.#server(section, path);
    if (section.chain !== undefined) return this.#chain(name, section.chain, path);
    if (section.discover !== undefined) return this.#discover(name, section.discover, section, path);
    return this.#group(name, section, path);
  }

  #server(section: UpstreamSection | MemberSection, path: Path): UpstreamOptions | undefined {
    const { url, login, credentials, tls } = section;
    if (url === undefined) return undefined;
    const found = this.find(url, [...path, 'url']);
    const isAll = login === undefined && credentials === undefined && tls === undefined;
    if (found === undefined || isAll) return found;
    if (found.type !== 'server') {
      const what = tls === undefined ? 'credentials are' : 'tls is';
      this.#reports.error(
        path,
        `${what} not allowed here, since this is not a single server`,
        'move it next to the URL',
      );
      return undefined;
    }
    const shown = this.#shown(found, section, path);
    const link = this.#link(found.tls, section, path);
    return {
      ...found,
      ...(shown !== undefined && { credentials: shown }),
      ...(link !== undefined && { tls: link }),
    };
  }

  /**
   * The credentials for a server, from its URL or beside it; `undefined` if there are none or they are
   * faulty.
   */
  #shown(
    { protocol, credentials: inUrl }: Pick<ServerOptions, 'protocol' | 'credentials'>,
    { login, credentials }: UpstreamSection | MemberSection,
    path: Path,
  ): ServerOptions['credentials'] {
    if ([inUrl, login, credentials].filter((one) => one !== undefined).length > 1) {
      this.#reports.error(path, 'credentials are given twice', 'keep one of them');
      return undefined;
    }
    if (login === undefined) return inUrl ?? credentials;
    const { name: username, password: given } = login;
    try {
      const password = typeof given === 'string' ? given : readSecret(this.#files.reads(given.file));
      checkCredentials(protocol, { username, password });
      return { username, password };
    } catch (fault) {
      if (!(fault instanceof ValueError)) throw fault;
      this.#reports.error([...path, 'login', 'password'], fault.message, fault.remedy);
      return undefined;
    }
  }

  /** The TLS options of a server; `undefined` if it does not use TLS, or its section is faulty. */
  #link(
    inUrl: LinkOptions | undefined,
    { tls }: UpstreamSection | MemberSection,
    path: Path,
  ): LinkOptions | undefined {
    if (tls === undefined) return inUrl;
    if (inUrl === undefined) {
      this.#reports.error([...path, 'tls'], 'this server is used without TLS', HOW_TLS, 'key');
      return undefined;
    }
    const given = completeLink(tls, [...path, 'tls'], this.#files, this.#reports);
    return given && { ...inUrl, ...given };
  }

  #chain(name: string, refs: readonly UpstreamRef[], path: Path): UpstreamOptions | undefined {
    const hops = refs.map((ref, i) => this.find(ref, [...path, 'chain', i]));
    for (const [i, hop] of hops.entries()) {
      if (hop !== undefined && mayGoDirectly(hop))
        this.#reports.error(
          [...path, 'chain', i],
          `${quote(hop.label)} ends in direct, but a chain goes through every server`,
          'use it in a route, or remove direct from it',
        );
      if (i > 0 && hop !== undefined && isHere(hop))
        this.#reports.error(
          [...path, 'chain', i],
          'a unix socket cannot be reached through another server',
          'put it first',
        );
    }
    return hops.includes(undefined)
      ? undefined
      : { type: 'chain', label: name, hops: hops as readonly UpstreamOptions[] };
  }

  #group(name: string, section: UpstreamSection, path: Path): UpstreamOptions | undefined {
    const { servers = [], choose = 'order', tries = TRIES } = section;
    const orDirect = servers.length > 1 && isDirect(servers.at(-1)!);
    const proper = orDirect ? servers.slice(0, -1) : servers;
    const members = proper.flatMap((member, i) => {
      const upstream = this.#member(member, [...path, 'servers', i]);
      return upstream === undefined ? [] : [{ upstream, weight: member.weight ?? 1 }];
    });
    if (orDirect) this.#checkDirect(servers.at(-1)!, [...path, 'servers', proper.length]);
    if (members.length < proper.length) return undefined;
    const health = this.#health(section.health, [...path, 'health']);
    return { type: 'group', label: name, members, choose, health, tries, ...(orDirect && { orDirect }) };
  }

  #member(section: MemberSection, path: Path): UpstreamOptions | undefined {
    if (isDirect(section)) {
      this.#reports.error(
        path,
        'direct comes last in a group, after its servers',
        'move it to the end, or write via: direct in a route',
      );
      return undefined;
    }
    const upstream = this.#server(section, path);
    if (upstream !== undefined && mayGoDirectly(upstream))
      this.#reports.error(
        path,
        `${quote(upstream.label)} ends in direct`,
        'write direct at the end of this group instead',
      );
    return upstream;
  }

  /** `direct` is neither a server nor in competition with any. */
  #checkDirect(section: MemberSection, path: Path): void {
    for (const key of Object.keys(section).filter((one) => one !== 'url'))
      this.#reports.error(
        [...path, key],
        `direct has no ${key}: it is used when no server can be`,
        'write direct',
        'key',
      );
  }

  /**
   * Its servers must have certificates for the requested domain: their names come from DNS, which may be
   * forged.
   */
  #discover(
    name: string,
    { name: service, domain, encrypted }: ServiceName,
    section: UpstreamSection,
    path: Path,
  ): UpstreamOptions | undefined {
    const { choose = 'random', tries = TRIES } = section;
    const credentials = this.#shown({ protocol: 'socks5' }, section, path);
    const link = this.#link(encrypted ? { name: domain } : undefined, section, path);
    if (credentials !== undefined && !encrypted) {
      this.#reports.error(
        [...path, section.login === undefined ? 'credentials' : 'login'],
        'a discovered server gets a password only over TLS: otherwise anyone who forges DNS would get it',
        `write discover: _socks5s._tcp.${domain}`,
        'key',
      );
      return undefined;
    }
    return {
      type: 'discover',
      label: name,
      service,
      scheme: encrypted ? 'socks5h+tls://' : 'socks5h://',
      server: {
        protocol: 'socks5',
        passesNames: true,
        ...(link !== undefined && { tls: link }),
        ...(credentials !== undefined && { credentials }),
      },
      choose,
      health: this.#health(section.health, [...path, 'health']),
      tries,
    };
  }

  #health({ fail = FAIL, every, recover, connect }: HealthSection = {}, path: Path): HealthOptions {
    if (every !== undefined)
      return {
        fail,
        check: { every, recover: recover ?? RECOVER, ...(connect !== undefined && { connect }) },
      };
    const [key] = Object.entries({ recover, connect }).find(([, value]) => value !== undefined) ?? [];
    if (key !== undefined)
      this.#reports.error([...path, key], 'there are no health checks', 'add every: 5s', 'key');
    return { fail };
  }
}

function isDirect({ url }: MemberSection): boolean {
  return 'name' in url && url.name === 'direct';
}
