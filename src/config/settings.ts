import { dirname, resolve } from 'node:path';
import type { UsersSettings } from '../auth/authenticator.ts';
import type { Settings } from '../server/settings.ts';
import type { Draft } from './draft.ts';
import { completeListeners } from './listeners.ts';
import type { Reports } from './problem.ts';
import { completePolicy } from './rules.ts';
import { checkSafety } from './safety.ts';
import type { Users } from './schema.ts';
import { readSecret } from './secret.ts';
import type { Source } from './source.ts';
import { ValueError } from './value-error.ts';

/**
 * The settings of a draft, every default in its place, checked as a whole. What is faulty is left out: it has been
 * reported. `authenticates` is true where an embedder checks passwords.
 */
export function completeSettings(
  draft: Draft,
  source: Source,
  authenticates: boolean,
  reports: Reports,
): Settings {
  const directory = source.file === undefined ? process.cwd() : dirname(resolve(source.file));
  const { resolve: names = {}, timeouts = {}, log = {} } = draft;
  const hasUsers = authenticates || 'users' in draft;
  const users = draft.users && completeUsers(draft.users, directory, reports);
  const listeners = completeListeners(draft.listen, hasUsers, source, reports);
  checkSafety(listeners, draft, hasUsers, source, reports);
  return {
    listeners: listeners.map(({ made }) => made),
    policy: completePolicy(draft, source, reports),
    ...(users !== undefined && { users }),
    resolve: {
      ...(names.servers !== undefined && { servers: names.servers }),
      family: names.family ?? 'any',
      timeout: names.timeout ?? 5000,
    },
    timeouts: {
      handshake: timeouts.handshake ?? 15_000,
      connect: timeouts.connect ?? 30_000,
      bind: timeouts.bind ?? 120_000,
      idle: timeouts.idle ?? 7_200_000,
      halfClose: timeouts['half-close'] ?? 300_000,
      udpIdle: timeouts['udp-idle'] ?? 180_000,
      drain: timeouts.drain ?? 30_000,
    },
    log: {
      level: log.level ?? 'info',
      format: log.format ?? 'text',
      to: typeof log.to === 'object' ? { file: resolve(directory, log.to.file) } : 'stderr',
    },
    engine: draft.engine ?? 'auto',
  };
}

function completeUsers(
  { file, name, password }: Users,
  directory: string,
  { error }: Reports,
): UsersSettings {
  if (file === undefined && name === undefined && password === undefined) {
    error(['users'], 'there are no users here', 'write users: { file: users.txt }, or leave the key out');
  }
  if ((name === undefined) !== (password === undefined)) {
    const [has, lacks] = name === undefined ? ['password', 'name'] : ['name', 'password'];
    error(
      ['users', has],
      `a user with a ${has} and without a ${lacks}`,
      `add the ${lacks}, or take the ${has} away`,
    );
  }
  return {
    ...(file !== undefined && { file: resolve(directory, file) }),
    ...(name !== undefined &&
      password !== undefined && { single: { username: name, password: passwordOf(password) } }),
  };

  function passwordOf(given: string | { readonly file: string }): string {
    if (typeof given === 'string') return given;
    try {
      return readSecret(resolve(directory, given.file));
    } catch (fault) {
      if (!(fault instanceof ValueError)) throw fault;
      error(['users', 'password'], fault.message, fault.remedy);
      return '';
    }
  }
}
