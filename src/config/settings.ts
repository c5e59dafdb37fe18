import type { LogPlace } from '../audit/sinks/open.ts';
import type { UsersSettings } from '../auth/local-users.ts';
import type { Settings } from '../server/settings.ts';
import type { Draft, WrittenDraft } from './schema/draft.ts';
import { checkHealth, checkInterfaces, checkSharedPorts, completeListeners } from './sections/listeners.ts';
import { expandLists } from './sections/lists.ts';
import type { Files } from './source/files.ts';
import { nameListeners } from './sections/listener-names.ts';
import { markPac } from './checks/pac.ts';
import type { Reports } from './source/problem.ts';
import { completeResolve } from './sections/resolve.ts';
import { completeRoutes, warnOfPassedOn } from './sections/routes.ts';
import { completePolicy } from './sections/rules.ts';
import { checkSafety } from './checks/safety.ts';
import type { Users } from './schema/sections.ts';
import { readSecret } from './source/secret.ts';
import type { Purpose } from './checks/safety.ts';
import type { Source } from './source/source.ts';
import { warnOfUnused } from './checks/unused.ts';
import { Upstreams } from './sections/upstreams.ts';
import { ValueError } from './source/value-error.ts';

/**
 * The settings for a draft, with all defaults filled in and cross-checked. Faulty parts are left out; they
 * have been reported.
 */
export function completeSettings(
  written: WrittenDraft,
  source: Source,
  files: Files,
  purpose: Purpose,
  writtenReports: Reports,
): Settings {
  const { role } = purpose;
  const isAgent = role === 'agent';
  const { draft: read, reports } = expandLists(written, files, writtenReports);
  const { timeouts = {}, log = {}, limits = {} } = read;
  const hasUsers = purpose.authenticates || 'users' in read;
  const users = read.users && completeUsers(read.users, files, reports);
  const listeners = completeListeners(read.listen, hasUsers, files, source, reports);
  const draft = nameListeners(read, listeners, files, source, reports);
  checkInterfaces(draft, reports);
  checkHealth(draft.health, listeners, reports);
  checkSharedPorts(draft, reports);
  checkSafety(listeners, draft, purpose, source, reports);
  checkProgramOnly(draft, purpose, reports);
  const policy = completePolicy(draft, isAgent ? [] : ['disconnect', 'error'], source, reports);
  const upstreams = new Upstreams(draft, files, source, reports);
  const routes = completeRoutes(draft, upstreams, listeners, source, reports);
  warnOfUnused(draft, reports);
  warnOfPassedOn(policy.rules, routes, reports);
  return {
    listeners: markPac(listeners, draft.pac ?? false, reports),
    policy,
    ...(routes !== undefined && { routes }),
    ...(users !== undefined && { users }),
    resolve: completeResolve(draft, reports),
    timeouts: {
      handshake: timeouts.handshake ?? 15_000,
      connect: timeouts.connect ?? 30_000,
      bind: timeouts.bind ?? 120_000,
      idle: timeouts.idle ?? 7_200_000,
      halfClose: timeouts['half-close'] ?? 300_000,
      udpIdle: timeouts['udp-idle'] ?? 180_000,
      drain: timeouts.drain ?? 30_000,
    },
    limits: {
      connections: limits.connections ?? 10_000,
      ...(limits.connections !== undefined && { demanded: true }),
      ...(limits['per-address'] !== undefined && { perAddress: limits['per-address'] }),
      unauthenticated: limits.unauthenticated ?? { start: 500, percent: 30, full: 1000 },
      ...(limits.memory !== undefined && { memory: limits.memory }),
    },
    ...(draft.state !== undefined && { stateFile: files.path(draft.state) }),
    ...(draft.health !== undefined && { health: draft.health }),
    ...controlOf(draft, (path) => files.path(path), role),
    ...(draft['pid-file'] !== undefined && { pidFile: files.path(draft['pid-file']) }),
    ...(draft['run-as'] !== undefined && { runAs: draft['run-as'] }),
    log: {
      level: log.level ?? (isAgent ? 'warn' : 'info'),
      format: log.format ?? 'text',
      to: log.to?.map((place) => logPlaceIn(files, place)) ?? (role === 'library' ? [] : ['stderr']),
      ...(log.errors !== undefined && { errors: log.errors.map((place) => logPlaceIn(files, place)) }),
    },
    ...(log.interim !== undefined && { interim: log.interim }),
    engine: draft.engine ?? 'auto',
    workers: draft.workers ?? (role === 'server' ? 'auto' : 1),
  };
}

function logPlaceIn(files: Files, place: LogPlace): LogPlace {
  return typeof place === 'object' && 'file' in place ? { file: files.path(place.file) } : place;
}

/** The server's control socket; an agent has one only if it is written. */
export function controlOf(
  { control }: Pick<Draft, 'control'>,
  absolute: (path: string) => string,
  role: Purpose['role'],
): Pick<Settings, 'control'> {
  if (control === undefined) return role === 'server' ? {} : { control: false };
  return { control: control && absolute(control) };
}

/** A program that embeds the server has its own user, and its own means of control. */
function checkProgramOnly(draft: Draft, { role }: Purpose, { error }: Reports): void {
  if (role !== 'library') return;
  if (draft['run-as'] !== undefined)
    error(['run-as'], 'only garter serve can switch to another user', 'remove run-as', 'key');
  if (draft['pid-file'] !== undefined)
    error(['pid-file'], 'only garter serve has a pid file', 'remove pid-file', 'key');
  if (draft.control !== undefined)
    error(['control'], 'only garter serve has a control socket', 'remove control', 'key');
}

function completeUsers({ file, name, password }: Users, files: Files, { error }: Reports): UsersSettings {
  if (file === undefined && name === undefined && password === undefined) {
    error(['users'], 'there are no users here', 'write users: { file: users.txt }, or leave the key out');
  }
  if ((name === undefined) !== (password === undefined)) {
    const [has, lacks] = name === undefined ? ['password', 'name'] : ['name', 'password'];
    error(['users', has], `a user with a ${has} but no ${lacks}`, `add the ${lacks}, or remove the ${has}`);
  }
  return {
    ...(file !== undefined && { file: files.path(file) }),
    ...(name !== undefined &&
      password !== undefined && { single: { username: name, password: passwordOf(password) } }),
  };

  function passwordOf(given: string | { readonly file: string }): string {
    if (typeof given === 'string') return given;
    try {
      return readSecret(files.reads(given.file));
    } catch (fault) {
      if (!(fault instanceof ValueError)) throw fault;
      error(['users', 'password'], fault.message, fault.remedy);
      return '';
    }
  }
}
