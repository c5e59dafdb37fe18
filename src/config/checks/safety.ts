import type { Method } from '../../policy/policy.ts';
import { formatListenAddress, listenerName } from '../../server/listen/listeners.ts';
import type { ListenerSettings } from '../../server/settings.ts';
import type { Draft } from '../schema/draft.ts';
import type { ListenerSection } from '../schema/sections.ts';
import { isLoopback } from '../../wire/ip.ts';
import type { Path, Placed, Reports } from '../source/problem.ts';
import type { Source } from '../source/source.ts';

/** The purpose of the settings. */
export interface Purpose {
  /** True where an embedder checks passwords. */
  readonly authenticates: boolean;
  /**
   * An agent serves this machine only, and keeps no records unless configured. A library writes nothing and
   * starts no threads unless configured.
   */
  readonly role: 'server' | 'agent' | 'library';
}

const ACCEPT_LINE = 'accept: [{ name: inside, allow: true, from: [private] }]';
/** The conditions that exclude no client on the internet. */
const EVERYBODY: ReadonlySet<string> = new Set(['any', 'public', '0.0.0.0/0', '::/0']);
const USERS_LINE = 'users: { file: users.txt }';

/** Prevents accidental open proxies, and warns of settings that can never work. */
export function checkSafety(
  listeners: readonly Placed<ListenerSettings>[],
  draft: Draft,
  { authenticates, role }: Purpose,
  source: Source,
  reports: Reports,
): void {
  const hasUsers = authenticates || 'users' in draft;
  const reachable = listeners.filter(({ made: { address } }) => isReachable(address));
  if (role === 'agent') refuseReachable(reachable, reports);
  else if ('accept' in draft) warnOfOpen(reachable, draft, reports);
  else refuseOpen(reachable, draft, source, reports);
  const { listen = [] } = draft;
  // A faulty listener may ask for certificates.
  const isCertified = listen.some((one) => one === undefined || asksCertificate(one));
  if (!hasUsers) warnOfNobody(draft, isCertified, reports);
  if (!isCertified) warnOfNoCertificate(draft, reports);
}

/** An agent acts on behalf of the user that runs it. */
function refuseReachable(reachable: readonly Placed<ListenerSettings>[], { error }: Reports): void {
  for (const { made, path } of reachable)
    error(
      [...path, 'address'],
      `others can reach ${formatListenAddress(made.address)}, but an agent is only for this machine`,
      'listen on 127.0.0.1, or run garter serve',
    );
}

/** A listener that others can reach requires a password, unless there are accept rules. */
function refuseOpen(
  reachable: readonly Placed<ListenerSettings>[],
  draft: Draft,
  source: Source,
  { error }: Reports,
): void {
  const open = new Map(
    reachable.filter((each) => isOpen(each, draft.listen)).map((each) => [each.path[1], each]),
  );
  for (const { made, path } of open.values()) {
    const isWritten = draft.listen?.[Number(path[1])]?.methods !== undefined;
    const at = [...path, isWritten ? 'methods' : 'address'];
    const isFlag = source.file === undefined && /^(--|GARTER_)/.test(source.place(at).where);
    error(
      at,
      `others can reach ${formatListenAddress(made.address)}, which asks for no password`,
      isFlag
        ? 'give --users FILE, or GARTER_USER and GARTER_PASSWORD, or listen on 127.0.0.1'
        : `add ${ACCEPT_LINE}, or ${isWritten ? 'delete "none" from methods' : USERS_LINE}`,
    );
  }
}

/**
 * Warns of an accept rule that admits all clients without a password. The effect of denying rules before it
 * is not calculated.
 */
function warnOfOpen(
  reachable: readonly Placed<ListenerSettings>[],
  { accept = [], listen }: Draft,
  { warning }: Reports,
): void {
  if (reachable.length === 0) return;
  for (const [i, rule] of accept.entries()) {
    if (rule === undefined || !rule.allow) return;
    const theirs = reachable.filter(({ made }) => rule.listener?.includes(listenerName(made)) !== false);
    const isForAll = theirs.length > 0 && (rule.from?.some((one) => EVERYBODY.has(one)) ?? true);
    if (!isForAll || !(rule.methods?.includes('none') ?? theirs.some((each) => isOpen(each, listen))))
      continue;
    warning(
      ['accept', i],
      'everyone may connect, and without a password: an open proxy',
      'list the clients under from, or write methods: [password]',
    );
    return;
  }
}

/** A socket passed by systemd may be reachable. */
function isReachable(address: ListenerSettings['address']): boolean {
  return 'activated' in address || ('host' in address && !isLoopback(address.host));
}

/** Judged by what was written: where a certificate cannot be read, its listener has no `tls`. */
function isOpen({ made, path }: Placed<ListenerSettings>, listen: Draft['listen'] = []): boolean {
  const section = listen[Number(path[1])];
  // The certificate is required, unless it is only one of several methods.
  const demands = section !== undefined && asksCertificate(section) && !made.methods.includes('certificate');
  return made.methods.includes('none') && !demands;
}

function asksCertificate({ tls }: ListenerSection): boolean {
  return tls?.['client-ca'] !== undefined;
}

function warnOfNobody(draft: Draft, isCertified: boolean, { warning }: Reports): void {
  for (const path of methodsIn(draft, 'password')) {
    warning(path, 'nobody can have a password: there are no users', `add ${USERS_LINE}`);
  }
  if (isCertified) return;
  for (const key of ['rules', 'routes'] as const) {
    for (const [i, one] of (draft[key] ?? []).entries()) {
      if (one?.user !== undefined)
        warning([key, i, 'user'], 'nobody can have a user name: there are no users', `add ${USERS_LINE}`);
    }
  }
}

/** Listeners are reported separately. */
function warnOfNoCertificate({ accept = [], rules = [] }: Draft, { warning }: Reports): void {
  for (const path of methodsIn({ accept, rules }, 'certificate')) {
    warning(path, 'no client is asked for a certificate', 'add tls: { …, client-ca: … } to a listener');
  }
}

/** All positions where a method is named. */
function methodsIn(
  { listen = [], accept = [], rules = [] }: Partial<Pick<Draft, 'listen' | 'accept' | 'rules'>>,
  method: Method,
): Path[] {
  const has = (methods: readonly Method[] | undefined): boolean => methods?.includes(method) ?? false;
  return [
    ...listen.flatMap((one, i) => (has(one?.methods) ? [['listen', i, 'methods']] : [])),
    ...accept.flatMap((one, i) => (has(one?.methods) ? [['accept', i, 'methods']] : [])),
    ...rules.flatMap((one, i) => (has(one?.method) ? [['rules', i, 'method']] : [])),
  ];
}
