import { networkInterfaces } from 'node:os';
import { parseCondition } from '../../policy/conditions.ts';
import type { RuleOptions } from '../../policy/policy.ts';
import { passesNames } from '../../route/options.ts';
import type { RouteOptions } from '../../route/options.ts';
import type { ListenerSettings } from '../../server/settings.ts';
import { ipOf } from '../../wire/ip.ts';
import type { Draft } from '../schema/draft.ts';
import type { CommandWord } from '../input/values.ts';
import { hasAddress } from '../checks/local-address.ts';
import { reportLoops } from '../checks/loops.ts';
import { reportTaken, whereIs } from '../checks/names.ts';
import type { Path, Placed, Reports } from '../source/problem.ts';
import { warnOfPort0 } from '../checks/port-0.ts';
import { warnOfSetWords } from '../checks/set-words.ts';
import { unreachableRoutes } from '../checks/shadowed-rules.ts';
import type { RouteSection } from '../schema/routes.ts';
import { originOf } from '../source/source.ts';
import type { Source } from '../source/source.ts';
import type { Upstreams } from './upstreams.ts';
import { either, quote } from '../source/value-error.ts';

/** The routes of a draft, cross-checked; `undefined` if there are none. */
export function completeRoutes(
  { routes, engine }: Draft,
  upstreams: Upstreams,
  listeners: readonly Placed<ListenerSettings>[],
  source: Source,
  reports: Reports,
): readonly RouteOptions[] | undefined {
  if (routes === undefined) return undefined;
  const placed = routes.flatMap((section, i): Placed<RouteOptions>[] => {
    if (section === undefined) return [];
    const path = ['routes', i];
    const made = complete(section, i, path, upstreams, source, reports);
    if (engine === 'portable') refuseInterfaces(section, path, reports);
    return made === undefined ? [] : [{ made, path }];
  });
  reportTaken(placed, 'messages identify routes by name', source, reports);
  reportUnreachable(placed, source, reports);
  reportLoops(placed, listeners, reports);
  return placed.map(({ made }) => made);
}

/** Where names are passed on, their addresses are unknown here, so rules that deny addresses are bypassed. */
export function warnOfPassedOn(
  rules: readonly RuleOptions[],
  routes: readonly RouteOptions[] | undefined,
  { warning }: Reports,
): void {
  const passing = routes?.find(
    ({ via, resolvesHere }) => via !== 'direct' && !resolvesHere && passesNames(via),
  );
  if (passing === undefined) return;
  for (const [i, { action, to }] of rules.entries()) {
    const at = action === 'deny' ? to.findIndex(isAboutAddresses) : -1;
    if (at < 0) continue;
    warning(
      ['rules', i, 'to', at],
      `this does not apply to names that the route ${quote(passing.name)} passes on, since they are not resolved here`,
      'deny the names too, or write resolve: here on that route',
    );
  }
}

function isAboutAddresses(written: string): boolean {
  const condition = parseCondition(written);
  return condition?.type === 'range' || (condition?.type === 'set' && condition.set !== 'any');
}

function complete(
  section: RouteSection,
  i: number,
  path: Path,
  upstreams: Upstreams,
  source: Source,
  reports: Reports,
): RouteOptions | undefined {
  const {
    to,
    listener,
    from,
    user,
    port,
    command = [],
    egress,
    rotate,
    dns,
    'send-proxy': sendProxy,
  } = section;
  const isDirect = 'name' in section.via && section.via.name === 'direct';
  const via = isDirect ? 'direct' : upstreams.find(section.via, [...path, 'via']);
  if (via === undefined) return undefined;
  if (rotate !== undefined && egress === undefined && rotate !== 'same-as-incoming')
    reports.error(
      [...path, 'rotate'],
      'there are no addresses to choose from',
      'add egress: [ … ] with addresses of this machine',
      'key',
    );
  for (const [j, address] of (egress ?? []).entries())
    warnOfForeign(address, [...path, 'egress', j], reports);
  warnOfSetWords(to, path, reports);
  if (!command.some((word) => word === 'resolve' || word === 'bind')) warnOfPort0(section, path, reports);
  if (section.resolve !== undefined && isDirect)
    reports.warning([...path, 'resolve'], 'a direct route always resolves names here', 'remove it', 'key');
  const words: readonly CommandWord[] = command;
  const commands = words.filter((word) => word !== 'any');
  if (sendProxy !== undefined && isDirect && words.length > 0 && !words.some(isConnect))
    reports.warning([...path, 'send-proxy'], 'only CONNECT begins with a PROXY header', 'remove it', 'key');
  return {
    name: section.name ?? `route-${i + 1}`,
    label: 'name' in section.via ? section.via.name : section.via.label,
    ...(commands.length > 0 && commands.length === words.length && { commands }),
    ...(listener !== undefined && { listener }),
    ...(from !== undefined && { from }),
    ...(user !== undefined && { user }),
    to,
    ...(port !== undefined && { port }),
    via,
    ...((egress !== undefined || rotate !== undefined) && {
      egress: { addresses: egress ?? [], rotate: rotate ?? 'none' },
    }),
    resolvesHere: section.resolve === 'here',
    ...(dns !== undefined && { dns }),
    ...(sendProxy !== undefined && { sendProxy }),
    ...originOf(source, path),
  };
}

function isConnect(word: CommandWord): boolean {
  return word === 'connect' || word === 'any';
}

/** Only the fast engine can bind connections to an interface. */
function refuseInterfaces({ egress = [] }: RouteSection, path: Path, { error }: Reports): void {
  for (const [j, address] of egress.entries())
    if (ipOf(address) === undefined)
      error(
        [...path, 'egress', j],
        `only the fast engine can bind to the interface ${address}`,
        'write addresses, or engine: fast',
      );
}

/** An address may appear later, with its interface. */
function warnOfForeign(address: string, path: Path, { warning }: Reports): void {
  const interfaces = networkInterfaces();
  if (hasAddress(address) || address in interfaces) return;
  if (ipOf(address) === undefined)
    warning(
      path,
      `there is no interface ${quote(address)} now: nothing can leave by this route until there is`,
      `this machine has ${either(Object.keys(interfaces))}`,
    );
  else
    warning(
      path,
      `this machine does not have the address ${address} now`,
      'nothing can leave by this route until it does',
    );
}

function reportUnreachable(
  placed: readonly Placed<RouteOptions>[],
  source: Source,
  { error, warning, isListed }: Reports,
): void {
  for (const { rule, by } of unreachableRoutes(placed.map(({ made }) => made))) {
    const [later, earlier] = [placed[rule]!, placed[by]!];
    // A list that has come to be covered must not make a reload fail.
    const report = [earlier, later].some(({ path }) => isListed(path)) ? warning : error;
    report(
      later.path,
      `the route ${quote(later.made.name)} is never used: ${quote(earlier.made.name)} ${whereIs(earlier.path, source)} matches all of it`,
      'move it above that one, or remove it',
    );
  }
}

/** True for a route that matches every request. */
export function matchesAll({ commands, listener, from, user, to, port }: RouteOptions): boolean {
  return [commands, listener, from, user, port].every((one) => one === undefined) && to.includes('any');
}
