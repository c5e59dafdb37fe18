import type { EndDetail } from '../../audit/record.ts';
import type { Facts, Origin, Protocol } from '../../policy/policy.ts';
import type { Refused } from '../../route/judge.ts';
import { mayGoDirectly } from '../../route/options.ts';
import type { UpstreamOptions } from '../../route/options.ts';
import { DIRECT } from '../../route/routes.ts';
import type { Route } from '../../route/routes.ts';
import { formatAddress } from '../../wire/address.ts';
import { encodeHttpReply } from '../../wire/http.ts';
import { formatIp } from '../../wire/ip.ts';
import { Socks4Result } from '../../wire/socks4.ts';
import { Reply } from '../../wire/socks5.ts';
import type { Question } from './question.ts';

/** The question, as the first line of its answer. */
export function describeQuestion({ command, client, destination, protocol, user, time }: Question): string {
  const from = formatAddress({ host: formatIp(client.ip), port: client.port });
  const who = user === undefined ? '' : ` as ${user}`;
  const when = new Date(time).toISOString().replace(/\.\d+/, '');
  return `${command} from ${from}${who} to ${formatAddress(destination)} by ${protocol} at ${when}`;
}

/** A route and its upstreams. `passedOn`: the last server resolves the name. */
export function describeRoute(route: Route, passedOn: boolean): string {
  if (route === DIRECT) return 'direct';
  const how = route.via === 'direct' ? 'direct' : describeUpstream(route.via);
  const name = passedOn ? ', which resolves the name' : '';
  const header = route.sendProxy === undefined ? '' : `, send-proxy ${route.sendProxy}`;
  return `${route.name}${describeOrigin(route.origin)}: ${how}${name}${header}`;
}

function describeUpstream(upstream: UpstreamOptions): string {
  switch (upstream.type) {
    case 'server':
      return upstream.label;
    case 'chain':
      return upstream.hops.map(describeUpstream).join(', then ');
    case 'discover':
      return `${upstream.label} (${upstream.choose}: ${upstream.service})`;
    case 'group':
      return `${upstream.label} (${upstream.choose}: ${upstream.members.map((member) => describeUpstream(member.upstream)).join(' | ')}${mayGoDirectly(upstream) ? ', else direct' : ''})`;
    default:
      return upstream satisfies never;
  }
}

/** Why the judge refuses a request. */
export function describeRefusal(
  { reason, rule, address, route }: Refused,
  { method, command }: Pick<Facts, 'method' | 'command'>,
): string {
  const what = address === undefined ? 'it' : formatIp(address);
  switch (reason) {
    case 'rule':
      return `the rule denies ${what}`;
    case 'no-rule':
      return `no rule allows ${what}`;
    case 'method':
      return `the rule demands ${rule!.method!.join(' or ')}, the client used ${method}`;
    case 'own-port':
      return "it is one of garter's own ports";
    case 'bad-name':
      return 'it is not a host name';
    case 'no-address':
      return 'the name has no address';
    case 'no-route':
      return 'no route leads there';
    case 'port-0':
      return 'nobody receives datagrams at port 0';
    case 'command':
      return `${route!.label} cannot carry ${command}`;
    case 'encrypted':
      return `${route!.label} is reached by encrypted links, and datagrams are not encrypted: udp: clear lets them`;
    case 'family':
      return `resolve: family does not admit ${what}`;
    case 'address-type':
      return 'SOCKS4 has no room for IPv6 addresses';
    default:
      return reason satisfies never;
  }
}

/** Why a destination is neither a name nor an address. */
export function describeBadName(host: string, detail: EndDetail | undefined): string {
  return detail === 'numeric-name'
    ? `what ${host} means differs from program to program`
    : `${host} is not a host name`;
}

/** A reply that reports a failure, in the words of RFC 1928 section 6. */
export function describeFailure(reply: Reply): string {
  return FAILURES[reply] ?? `reply ${reply}`;
}

const FAILURES: Readonly<Record<number, string>> = {
  [Reply.generalFailure]: 'general failure of the proxy server',
  [Reply.notAllowed]: 'not allowed by the rules of the proxy server',
  [Reply.networkUnreachable]: 'network unreachable',
  [Reply.hostUnreachable]: 'host unreachable',
  [Reply.connectionRefused]: 'connection refused',
  [Reply.ttlExpired]: 'TTL expired',
  [Reply.commandNotSupported]: 'command not supported by the proxy server',
  [Reply.addressTypeNotSupported]: 'address type not supported by the proxy server',
};

/** The code in SOCKS, or the status in HTTP. */
export function describeReply(protocol: Protocol, reply: Reply): string {
  if (protocol === 'socks5') return String(reply);
  if (protocol === 'http') return new TextDecoder().decode(encodeHttpReply(reply)).split(' ', 2)[1]!;
  return String(reply === Reply.succeeded ? Socks4Result.granted : Socks4Result.rejected);
}

/** ` (garter.yaml:12)`; empty if it is not from a file. */
export function describeOrigin(origin: Origin | undefined): string {
  return origin?.line === undefined ? '' : ` (${origin.file}:${origin.line})`;
}
