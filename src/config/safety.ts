import type { Method } from '../policy/policy.ts';
import { formatEndpoint } from '../server/endpoint.ts';
import type { ListenerSettings } from '../server/settings.ts';
import type { Draft } from './draft.ts';
import { isLoopback } from './listen-address.ts';
import type { Path, Placed, Reports } from './problem.ts';
import type { Source } from './source.ts';

const ACCEPT_LINE = 'accept: [{ name: inside, allow: true, from: [private] }]';
const USERS_LINE = 'users: { file: users.txt }';

/** No open proxy by accident, and a warning of what can never work. */
export function checkSafety(
  listeners: readonly Placed<ListenerSettings>[],
  draft: Draft,
  hasUsers: boolean,
  source: Source,
  { error, warning }: Reports,
): void {
  const open = listeners.filter(
    ({ made }) => !isLoopback(made.address.host) && made.methods.includes('none'),
  );
  if ('accept' in draft) {
    for (const path of openAccepts(draft.accept ?? [], open.length > 0)) {
      warning(
        path,
        'everybody may connect and needs no password: an open proxy',
        'say under from who is meant, or write methods: [password]',
      );
    }
  } else {
    for (const { made, path } of new Map(open.map((each) => [each.path[1], each])).values()) {
      const isWritten = draft.listen?.[Number(path[1])]?.methods !== undefined;
      const at = [...path, isWritten ? 'methods' : 'address'];
      const isFlag = source.file === undefined && /^(--|GARTER_)/.test(source.place(at).where);
      error(
        at,
        `others can reach ${formatEndpoint(made.address)}, and it asks for no password`,
        isFlag
          ? 'give --users FILE, or GARTER_USER and GARTER_PASSWORD, or listen on 127.0.0.1'
          : `add ${ACCEPT_LINE}, or ${isWritten ? 'take none out of methods' : USERS_LINE}`,
      );
    }
  }
  if (hasUsers) return;
  for (const path of passwordMethods(draft))
    warning(path, 'nobody has a password: there are no users', `add ${USERS_LINE}`);
  for (const [i, rule] of (draft.rules ?? []).entries()) {
    if (rule?.user !== undefined)
      warning(['rules', i, 'user'], 'nobody has a name: there are no users', `add ${USERS_LINE}`);
  }
}

/** The accept rules that let everybody in without a password. Where a rule denies before, who is left is not worked out. */
function openAccepts(accept: NonNullable<Draft['accept']>, listensOpenly: boolean): Path[] {
  for (const [i, rule] of accept.entries()) {
    if (rule === undefined || !rule.allow) return [];
    const isForAll =
      rule.from === undefined || rule.from.some((condition) => condition === 'any' || condition === 'public');
    const isOpen = rule.methods?.includes('none') ?? listensOpenly;
    if (isForAll && isOpen) return [['accept', i]];
  }
  return [];
}

/** Wherever a password is asked for by name. */
function passwordMethods({ listen = [], accept = [], rules = [] }: Draft): Path[] {
  return [
    ...listen.flatMap((one, i) => (takesPassword(one?.methods) ? [['listen', i, 'methods']] : [])),
    ...accept.flatMap((one, i) => (takesPassword(one?.methods) ? [['accept', i, 'methods']] : [])),
    ...rules.flatMap((one, i) => (takesPassword(one?.method) ? [['rules', i, 'method']] : [])),
  ];
}

function takesPassword(methods: readonly Method[] | undefined): boolean {
  return methods?.includes('password') ?? false;
}
