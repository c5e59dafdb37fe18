import type { Member } from '../auth/authenticator.ts';
import { isExpired, nameFault } from '../auth/users-file.ts';
import { chooseEngine } from '../net/choose.ts';
import { accept } from '../policy/accept.ts';
import { compile } from '../policy/compile.ts';
import { decide } from '../policy/decide.ts';
import type { Permit, Refusal } from '../policy/decide.ts';
import type { Command, Destination, Facts, Method, Origin } from '../policy/policy.ts';
import { Resolver } from '../resolve/resolver.ts';
import type { UpstreamOptions } from '../route/options.ts';
import { DIRECT, Routes } from '../route/table.ts';
import type { Route } from '../route/table.ts';
import { destinationOf } from '../server/destination.ts';
import { Failure, codeOf } from '../server/failure.ts';
import { formatPlace } from '../server/listen/listeners.ts';
import { OwnPorts } from '../server/listen/own-ports.ts';
import type { ListenerSettings, Settings } from '../server/settings.ts';
import { upstreamFor } from '../server/session/way-out.ts';
import { AddressType, formatAddress } from '../wire/address.ts';
import { formatIp } from '../wire/ip.ts';
import type { Ip } from '../wire/ip.ts';
import { UsageError } from './question.ts';
import type { Question } from './question.ts';

/** What a server would answer, and why. */
export interface Verdict {
  readonly allowed: boolean;
  /** What decides at each step, and the outcome, as lines. */
  readonly text: string;
}

/** What a server with these settings and users would answer. Throws a UsageError for a listener that there is not. */
export async function judge(
  settings: Settings,
  users: readonly Member[],
  question: Question,
): Promise<Verdict> {
  const lines = [headline(question)];
  const note: Note = (step, text) => void lines.push(`  ${step.padEnd(8)}  ${text}`);
  let allowed = true;
  try {
    const resolves = await follow(settings, users, question, note);
    lines.push(resolves ? 'allowed' : 'allowed, once the name resolves');
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    allowed = false;
    lines.push(`refused: ${error.message}`);
  }
  return { allowed, text: `${lines.join('\n')}\n` };
}

type Note = (step: string, text: string) => void;

class Refused extends Error {}

/** Name servers of a route are asked from its egress, which takes an engine. */
async function routesOf({ routes, resolve, policy, engine: name }: Settings): Promise<Routes> {
  const asks = routes?.some(({ dns, egress }) => dns !== undefined && egress !== undefined);
  const engine = asks === true ? (await chooseEngine(name)).engine : undefined;
  const machine = engine === undefined ? {} : { engine };
  return new Routes(routes, resolve, (names) => new Resolver(names, machine), policy.nat64);
}

/** The way of a connection from accept to route, step by step as in server/connection.ts. `false` when its name does not resolve. */
async function follow(
  settings: Settings,
  users: readonly Member[],
  question: Question,
  note: Note,
): Promise<boolean> {
  const { client, protocol } = question;
  const ports = new OwnPorts();
  for (const { address } of settings.listeners) if ('host' in address) ports.add(address, 'tcp');
  const policy = compile(settings.policy);
  const listener = listenerFor(question, settings);
  note('listener', `${formatPlace(listener.address)}${place(listener.origin)}`);

  const admission = accept(policy, client.ip, ports);
  if (policy.acceptRules === undefined) note('accept', 'everybody: there are no accept rules');
  else
    note(
      'accept',
      admission.rule === undefined
        ? 'no rule matches'
        : `${admission.rule.name}${place(admission.rule.origin)}`,
    );
  if (!admission.allow) throw new Refused('the connection is closed unread');
  if (!listener.protocols.includes(protocol)) throw new Refused(`the listener does not take ${protocol}`);

  const method = methodFor(question, admission.rule?.methods ?? listener.methods, listener);
  const user = method === 'none' ? undefined : identify(method, question, settings, users);
  note(
    'method',
    user === undefined ? method : [method, user.name, ...user.groups.map((group) => `@${group}`)].join(' '),
  );

  const destination = destinationFor(question);
  const facts: Facts = {
    client: client.ip,
    sourcePort: client.port,
    protocol,
    method,
    ...(user !== undefined && { user: user.name }),
    groups: user?.groups ?? [],
    command: question.command,
    time: question.time,
  };
  const routes = await routesOf(settings);
  const byName = destination.type === 'name' ? routes.find(facts, destination, undefined, ports) : undefined;
  const passedOn = byName?.passesNames === true;
  let decision = decide(policy, facts, destination, passedOn ? 'passed-on' : undefined, ports);
  let resolves = true;
  if (destination.type === 'name' && !passedOn && decision.type !== 'refuse') {
    using resolver = byName?.resolver ?? new Resolver(settings.resolve);
    const addresses = await addressesFor(destination.name, question, resolver, note);
    decision = decide(policy, facts, destination, addresses ?? 'passed-on', ports);
    resolves = addresses !== undefined;
  }
  if (decision.type === 'resolve') throw new Error('a rule asks for addresses that it has');
  if (decision.type === 'refuse') refuse(decision, method, note);
  else noteRule(decision.permit, note);
  const { addresses } = decision.permit;
  const route =
    addresses.length === 0 ? byName : routes.findAmong(facts, destination, addresses, ports)?.route;
  if (route === undefined) throw new Refused('no route leads there');
  note('route', describeRoute(route, passedOn));
  // A name that is resolved here takes no way at all.
  if (question.command !== 'resolve' || passedOn) checkWay(question.command, route);
  return resolves;
}

function checkWay(command: Command, route: Route): void {
  if (route.via === 'direct') return;
  try {
    upstreamFor(command, route, 'request');
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    throw new Refused(
      error.detail === 'encrypted'
        ? `${route.label} is reached by encrypted links, and datagrams are not encrypted: udp: clear lets them`
        : `${route.label} cannot carry ${command}`,
    );
  }
}

function describeRoute(route: Route, passedOn: boolean): string {
  if (route === DIRECT) return 'direct';
  const how = route.via === 'direct' ? 'direct' : describeWay(route.via);
  const name = passedOn ? ', which resolves the name' : '';
  return `${route.name}${place(route.origin)}: ${how}${name}`;
}

function describeWay(way: UpstreamOptions): string {
  switch (way.type) {
    case 'server':
      return way.label;
    case 'chain':
      return way.hops.map(describeWay).join(', then ');
    case 'discover':
      return `${way.label} (${way.choose}: ${way.service})`;
    case 'group':
      return `${way.label} (${way.choose}: ${way.members.map((member) => describeWay(member.way)).join(' | ')})`;
    default:
      return way satisfies never;
  }
}

function headline({ command, client, destination, protocol, user, time }: Question): string {
  const from = formatAddress({ host: formatIp(client.ip), port: client.port });
  const who = user === undefined ? '' : ` as ${user}`;
  const when = new Date(time).toISOString().replace(/\.\d+/, '');
  return `${command} from ${from}${who} to ${formatAddress(destination)} by ${protocol} at ${when}`;
}

function listenerFor({ listener }: Question, { listeners }: Settings): ListenerSettings {
  if (listener === undefined) return listeners[0]!;
  const found = listeners.find(({ address }) => formatPlace(address) === listener);
  if (found !== undefined) return found;
  throw new UsageError(
    `--listener ${listener}: write one of ${listeners.map(({ address }) => formatPlace(address)).join(', ')}`,
  );
}

/** The server's choice among what the client offers. */
function methodFor(
  { methods, protocol }: Question,
  accepted: readonly Method[],
  { tls }: ListenerSettings,
): Method {
  const shown = methods.filter((method) => method !== 'certificate' || tls?.clientCa !== undefined);
  const chosen = accepted.find((method) => shown.includes(method));
  if (chosen !== undefined) return chosen;
  const offer =
    protocol === 'socks4' ? 'SOCKS4 has no passwords' : `the client offers ${shown.join(' and ')}`;
  throw new Refused(`${offer}, the server takes ${accepted.join(' and ')} only`);
}

/** Who that is; where there are no users, the word of those who issue certificates will do. */
function identify(
  method: Method,
  { user: name = '', time }: Question,
  settings: Settings,
  users: readonly Member[],
): Member {
  if (settings.users === undefined) {
    if (method !== 'certificate') throw new Refused('there are no users');
    const fault = nameFault(name);
    if (fault !== undefined) throw new Refused(`the name in the certificate ${fault}`);
    return { name, groups: [] };
  }
  const user = users.find((one) => one.name === name);
  if (user === undefined) throw new Refused(`there is no user ${name}`);
  if (isExpired(user, time)) throw new Refused(`the last day of ${name} was ${user.expires}`);
  return user;
}

function destinationFor({ destination: { host, port } }: Question): Destination {
  try {
    return destinationOf({ type: AddressType.name, host, port });
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    throw new Refused(
      error.detail === 'numeric-name'
        ? `what ${host} means differs from program to program`
        : `${host} is not a host name`,
    );
  }
}

/** The addresses of a name; `undefined` when it has none here. */
async function addressesFor(
  name: string,
  { addresses }: Question,
  resolver: Resolver,
  note: Note,
): Promise<readonly Ip[] | undefined> {
  if (addresses.length > 0) return noted(addresses);
  try {
    return noted(await resolver.resolve(name));
  } catch (error) {
    const code = codeOf(error);
    if (code === undefined) throw error;
    note('address', `${name} does not resolve here (${code}): judged by its name alone`);
    return undefined;
  }

  function noted(found: readonly Ip[]): readonly Ip[] {
    note('address', found.map(formatIp).join(' '));
    return found;
  }
}

function noteRule({ rule, destination, addresses }: Permit, note: Note): void {
  note('rule', `${rule.name}${place(rule.origin)}`);
  if (destination.type === 'name' && addresses.length > 0) note('dial', addresses.map(formatIp).join(' '));
}

function refuse({ reason, rule, address }: Refusal, method: Method, note: Note): never {
  if (rule !== undefined) note('rule', `${rule.name}${place(rule.origin)}`);
  else if (reason === 'no-rule') note('rule', 'no rule matches');
  const what = address === undefined ? 'it' : formatIp(address);
  switch (reason) {
    case 'rule':
      throw new Refused(`the rule denies ${what}`);
    case 'no-rule':
      throw new Refused(`no rule allows ${what}`);
    case 'method':
      throw new Refused(`the rule demands ${rule!.method!.join(' or ')}, the client came by ${method}`);
    case 'own-port':
      throw new Refused('it is a port of garter itself');
    case 'bad-name':
      throw new Refused('it is not a host name');
    case 'no-address':
      throw new Refused('the name has no address');
    default:
      return reason satisfies never;
  }
}

/** ` (garter.yaml:12)`; nothing for what stands in no file. */
function place(origin: Origin | undefined): string {
  return origin?.line === undefined ? '' : ` (${origin.file}:${origin.line})`;
}
