import { formatEnd } from '../../audit/record.ts';
import type { Member } from '../../auth/users-file.ts';
import { isExpired, nameFault } from '../../auth/users-file.ts';
import { accept } from '../../policy/accept.ts';
import { nearMisses } from '../../policy/near-misses.ts';
import type { Destination, Facts, Method, Protocol } from '../../policy/policy.ts';
import { judge } from '../../route/judge.ts';
import type { Basis, Need, Refused, RoutedPermit } from '../../route/judge.ts';
import type { Outbound } from '../../route/outbound.ts';
import {
  checkDeclaredPort,
  chooseMethod,
  METHOD_CODES,
  methodsFor,
  noMethod,
  noUser,
  shownWith,
} from '../../server/admission.ts';
import { basisOf } from '../../server/basis.ts';
import type { DecidingBasis } from '../../server/basis.ts';
import { chosenFrom } from '../../server/commands/resolve.ts';
import { destinationOf, isUnspecified } from '../../server/destination.ts';
import { Failure } from '../../server/failure.ts';
import { codeOf } from '../../wire/error-code.ts';
import { formatListenAddress, listenerName } from '../../server/listen/listeners.ts';
import type { ListenerSettings, Settings } from '../../server/settings.ts';
import { addressOf } from '../../wire/address.ts';
import { formatIp } from '../../wire/ip.ts';
import type { Ip } from '../../wire/ip.ts';
import { Reply } from '../../wire/socks5.ts';
import {
  describeBadName,
  describeOrigin,
  describeQuestion,
  describeRefusal,
  describeReply,
  describeRoute,
} from './describe.ts';
import { UsageError } from './question.ts';
import type { Question } from './question.ts';

/** The answer that a server would give, and why. */
export interface Outcome {
  readonly allowed: boolean;
  /** The SOCKS5 reply to the request; `undefined` where the client does not get as far as a request. */
  readonly reply: Reply | undefined;
  /** The end code of the record, unless it depends on later events. */
  readonly end: string | undefined;
  /** The association is granted, but its datagrams to this destination are dropped. */
  readonly dropped: boolean;
  /** The deciding factor of each step, and the outcome, as lines. */
  readonly text: string;
}

/**
 * The answer of a server with these settings and users; `running`: of one that runs, with its own ports and
 * resolvers. Throws a UsageError for a listener that does not exist.
 */
export async function outcomeOf(
  settings: Settings,
  users: readonly Member[],
  question: Question,
  running?: DecidingBasis,
): Promise<Outcome> {
  const lines = [describeQuestion(question)];
  const note: Note = (step, text) => void lines.push(`  ${step.padEnd(8)}  ${text}`);
  let refused: NotAllowed | undefined;
  let unresolved: Failure | undefined;
  try {
    unresolved =
      running === undefined
        ? await followAlone(settings, users, question, note)
        : await follow(running, settings, users, question, note);
  } catch (error) {
    if (!(error instanceof NotAllowed)) throw error;
    refused = error;
  }
  const trouble = refused ?? unresolved;
  const failure = refused === undefined ? (question.command === 'udp' ? undefined : unresolved) : refused.end;
  const dropped = trouble !== undefined && failure === undefined;
  const reply = failure === undefined ? Reply.succeeded : replyOf(failure);
  const end = failure && formatEnd(failure);
  if (reply !== undefined)
    note('reply', describeReply(question.protocol, reply) + describeCondition(question, reply, dropped));
  if (end !== undefined) note('record', end);
  if (refused !== undefined) lines.push(`refused: ${refused.message}`);
  else lines.push(unresolved === undefined ? 'allowed' : 'allowed, once the name resolves');
  return { allowed: refused === undefined, reply, end, dropped, text: `${lines.join('\n')}\n` };
}

type Note = (step: string, text: string) => void;

class NotAllowed extends Error {
  /** `undefined` for datagrams: they are dropped, and their association continues. */
  readonly end: Failure | undefined;

  constructor(message: string, end: Failure | undefined) {
    super(message);
    this.end = end;
  }
}

/** The reply to a request; earlier phases have none. */
function replyOf({ phase, reply }: Failure): Reply | undefined {
  return phase === 'accept' || phase === 'greeting' || phase === 'auth' ? undefined : reply;
}

function describeCondition({ command }: Question, reply: Reply, dropped: boolean): string {
  if (dropped) return ', and its datagrams are dropped';
  return command === 'connect' && reply === Reply.succeeded ? ', once it is reached' : '';
}

/**
 * Follows a connection from accept to route, step by step as in server/connection.ts. Returns the failure of
 * a name that does not resolve, if everything else is fine.
 */
async function follow(
  basis: DecidingBasis,
  settings: Settings,
  users: readonly Member[],
  question: Question,
  note: Note,
): Promise<Failure | undefined> {
  const { outbound } = basis;
  const { protocol, command } = question;
  const listener = listenerFor(question, settings);
  note('listener', `${describeListener(listener)}${describeOrigin(listener.origin)}`);
  const facts = identified(basis, listener, settings, users, question, note);
  let unresolved: Failure | undefined;
  const ask = async (about: Destination | undefined): Promise<RoutedPermit> => {
    const judging = judge(basis, { facts: () => facts }, command, about);
    let step = judging.next();
    while (step.done !== true) {
      const found = await addressesFor(step.value, question, outbound, note);
      unresolved = found instanceof Failure ? found : undefined;
      step = judging.next(found instanceof Failure ? undefined : found);
    }
    const verdict = step.value;
    if (verdict.type === 'allow') return verdict;
    const refused = refusal(verdict, facts, unresolved ?? Failure.ofVerdict(verdict, command), note);
    noteNearMisses(verdict, basis, facts, about, verdict.address ?? question.addresses[0], note);
    throw refused;
  };
  if (command !== 'udp') {
    const routed = await ask(destinationFor(question));
    notePermit(routed, note);
    const { addresses } = routed.permit;
    if (command === 'resolve' && addresses.length > 0)
      refusedAs(
        () => 'SOCKS4 has no room for IPv6 addresses',
        () => chosenFrom(addresses, protocol, listener),
      );
    return unresolved;
  }
  // The association comes first, and survives the refusal of a datagram.
  const association = await associationFor(question, listener, ask);
  notePermit(await datagramsOf(association, question, ask), note);
  return unresolved;
}

/** The same without a running server. */
async function followAlone(
  settings: Settings,
  users: readonly Member[],
  question: Question,
  note: Note,
): Promise<Failure | undefined> {
  const basis = await basisOf(settings);
  using _ = basis.outbound;
  return await follow(basis, settings, users, question, note);
}

/** Accepts and identifies the client: what the rules know about it. */
function identified(
  { policy, ports }: Basis,
  listener: ListenerSettings,
  settings: Settings,
  users: readonly Member[],
  question: Question,
  note: Note,
): Facts {
  const { client, protocol, command, time } = question;
  const name = listenerName(listener);
  const admission = accept(policy, { client: client.ip, listener: name }, ports);
  const { rule } = admission;
  if (policy.acceptRules === undefined) note('accept', 'everyone: there are no accept rules');
  else note('accept', rule === undefined ? 'no rule matches' : `${rule.name}${describeOrigin(rule.origin)}`);
  const methods = refusedAs(
    () => 'the connection is closed before anything is read',
    () => methodsFor(admission, listener),
  );
  if (!listener.protocols.includes(protocol))
    throw new NotAllowed(`the listener does not take ${protocol}`, notSpoken(protocol));

  const method = methodFor(question, methods, listener);
  const user = method === 'none' ? undefined : identify(method, question, settings, users);
  const groups = user?.groups ?? [];
  note('method', [method, user?.name ?? [], ...groups.map((group) => `@${group}`)].flat().join(' '));
  return {
    listener: name,
    client: client.ip,
    sourcePort: client.port,
    protocol,
    method,
    user: user?.name,
    groups,
    command,
    time,
  };
}

type Ask = (about: Destination | undefined) => Promise<RoutedPermit>;

function associationFor(
  { destination }: Question,
  { udp }: ListenerSettings,
  ask: Ask,
): Promise<RoutedPermit> {
  // Where datagrams will go to is no part of the request, and then it is taken to be in order.
  if (isUnspecified(addressOf(destination.host, destination.port)))
    refusedAs(
      () => 'the client has to say which port it will send from',
      () => checkDeclaredPort(udp, destination.port),
    );
  return ask(undefined);
}

/** The permit for datagrams to the destination; without one, that of the association. */
async function datagramsOf(association: RoutedPermit, question: Question, ask: Ask): Promise<RoutedPermit> {
  try {
    const destination = destinationFor(question);
    return destination === undefined ? association : await ask(destination);
  } catch (error) {
    throw error instanceof NotAllowed ? new NotAllowed(error.message, undefined) : error;
  }
}

/** Runs a step of the server, and describes its failure in words. */
function refusedAs<T>(words: (failure: Failure) => string, step: () => T): T {
  try {
    return step();
  } catch (error) {
    if (error instanceof Failure) throw new NotAllowed(words(error), error);
    throw error;
  }
}

/** A listener without HTTP treats it as a foreign protocol; another SOCKS version is an error. */
function notSpoken(protocol: Protocol): Failure {
  return new Failure('client', 'greeting', protocol === 'http' ? 'http' : 'ERR_SOCKS_VERSION');
}

function notePermit({ permit, route, addresses }: RoutedPermit, note: Note): void {
  const { rule, destination } = permit;
  note('rule', `${rule.name}${describeOrigin(rule.origin)}`);
  if (destination.type === 'name' && permit.addresses.length > 0)
    note('dial', permit.addresses.map(formatIp).join(' '));
  note(
    'route',
    describeRoute(route, destination.type === 'name' && addresses.length === 0 && route.passesNames),
  );
}

function describeListener({ name, address }: ListenerSettings): string {
  return [name, formatListenAddress(address)].filter((part) => part !== undefined).join(' ');
}

function listenerFor({ listener }: Question, { listeners }: Settings): ListenerSettings {
  if (listener === undefined) return listeners[0]!;
  const found = listeners.find(
    ({ name, address }) => name === listener || formatListenAddress(address) === listener,
  );
  if (found !== undefined) return found;
  throw new UsageError(
    `--listener ${listener}: write one of ${[...new Set(listeners.map(listenerName))].join(', ')}`,
  );
}

/** The method that the server selects from those offered. */
function methodFor(
  { methods: offered, protocol }: Question,
  accepted: readonly Method[],
  { tls }: ListenerSettings,
): Method {
  const shown = offered.filter((method) => method !== 'certificate' || tls?.clientCa !== undefined);
  const codes = codesOf(shown, protocol);
  const chosen = chooseMethod(accepted, codes, shown.includes('certificate'));
  if (chosen !== undefined) return chosen;
  const offer =
    protocol === 'socks4' ? 'SOCKS4 has no passwords' : `the client offers ${shown.join(' and ')}`;
  throw new NotAllowed(`${offer}, the server takes ${accepted.join(' and ')} only`, noMethod(protocol));
}

/** The offered methods as the server sees them. */
function codesOf(offered: readonly Method[], protocol: Protocol): readonly number[] {
  if (protocol !== 'socks5') return shownWith(offered.includes('password'));
  return offered.filter((method) => method !== 'certificate').map((method) => METHOD_CODES[method]);
}

/** The authenticated identity; without users, the issuer of the certificate is trusted. */
function identify(
  method: Method,
  { user: name = '', time }: Question,
  settings: Settings,
  users: readonly Member[],
): Member {
  const refuse = (message: string, reason: 'wrong' | 'expired' | 'disabled' = 'wrong'): NotAllowed =>
    new NotAllowed(message, noUser(method, reason));
  if (settings.users === undefined) {
    if (method !== 'certificate') throw refuse('there are no users');
    const fault = nameFault(name);
    if (fault !== undefined) throw refuse(`the name in the certificate ${fault}`);
    return { name, groups: [] };
  }
  const user = users.find((one) => one.name === name);
  if (user === undefined) throw refuse(`there is no user ${name}`);
  if (user.disabled === true) throw refuse(`${name} is disabled in the users file`, 'disabled');
  if (isExpired(user, time)) throw refuse(`the last day of ${name} was ${user.expires}`, 'expired');
  return user;
}

/** `undefined` where the client does not name one: it is then decided later. */
function destinationFor({ destination: { host, port }, command }: Question): Destination | undefined {
  const address = addressOf(host, port);
  if ((command === 'bind' || command === 'udp') && isUnspecified(address)) return undefined;
  return refusedAs(
    ({ detail }) => describeBadName(host, detail),
    () => destinationOf(address),
  );
}

/** The addresses of a name, or why there are none here. */
async function addressesFor(
  { name, route }: Need,
  { addresses }: Question,
  outbound: Outbound,
  note: Note,
): Promise<readonly Ip[] | Failure> {
  const noted = (found: readonly Ip[]): readonly Ip[] => {
    note('address', found.map(formatIp).join(' '));
    return found;
  };
  if (addresses.length > 0) return noted(addresses);
  try {
    return noted(await outbound.lookUp(name, route));
  } catch (error) {
    const code = codeOf(error);
    if (code === undefined) throw error;
    note('address', `${name} does not resolve here (${code}): judged by its name alone`);
    return Failure.from(error, 'resolve');
  }
}

function refusal(refused: Refused, facts: Facts, end: Failure | undefined, note: Note): NotAllowed {
  const { rule, route, reason } = refused;
  if (rule !== undefined) note('rule', `${rule.name}${describeOrigin(rule.origin)}`);
  else if (reason === 'no-rule') note('rule', 'no rule matches');
  if (route !== undefined) note('route', describeRoute(route, false));
  return new NotAllowed(describeRefusal(refused, facts), end);
}

const NEAR_MISSES_SHOWN = 20;

/** Where nothing matched: the rules or routes that nearly do. */
function noteNearMisses(
  { reason }: Refused,
  { policy, outbound: { routes }, ports }: Basis,
  facts: Facts,
  about: Destination | undefined,
  resolved: Ip | undefined,
  note: Note,
): void {
  const asked = [facts, about, resolved, ports] as const;
  const missed =
    reason === 'no-rule'
      ? nearMisses(policy, ...asked).map(({ conditions: { options }, text }) => ({ ...options, text }))
      : reason === 'no-route'
        ? routes.nearMisses(...asked).map(({ route, text }) => ({ ...route, text }))
        : [];
  for (const { name, origin, text } of missed.slice(0, NEAR_MISSES_SHOWN))
    note('nearly', `${name}${describeOrigin(origin)}: ${text}`);
  const more = missed.length - NEAR_MISSES_SHOWN;
  if (more > 0) note('nearly', `and ${more} more`);
}
