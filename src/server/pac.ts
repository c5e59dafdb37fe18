import { parseAddressRange } from '../policy/addresses.ts';
import type { AddressRange } from '../policy/addresses.ts';
import { parseCondition } from '../policy/conditions.ts';
import type { Condition } from '../policy/conditions.ts';
import { rangesOf } from '../policy/sets.ts';
import type { RouteOptions } from '../route/options.ts';
import type { Routes } from '../route/routes.ts';
import { formatAddress } from '../wire/address.ts';
import type { HostPort } from '../wire/address.ts';
import type { HttpRequest } from '../wire/http.ts';
import { formatIp, isLoopback } from '../wire/ip.ts';

const PATHS: ReadonlySet<string> = new Set(['/proxy.pac', '/wpad.dat']);
/** A site whose name resolves to this machine (DNS rebinding) sends that name in its requests. */
const OWN_HOST = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i;

/** The answer to a browser on this machine that requests the PAC file; `undefined` for any other request. */
export function answerPac(
  { method, target, headers }: HttpRequest,
  client: string,
  proxy: HostPort,
  { options: routes, nat64 }: Pick<Routes, 'options' | 'nat64'>,
): Uint8Array | undefined {
  const [path = ''] = target.split('?');
  if ((method !== 'GET' && method !== 'HEAD') || !PATHS.has(path)) return undefined;
  if (!isLoopback(client) || !OWN_HOST.test(headers.get('host') ?? '')) return undefined;
  const file = pacFile(routes ?? [], proxy, nat64);
  const head = [
    'HTTP/1.1 200 OK',
    'Content-Type: application/x-ns-proxy-autoconfig',
    `Content-Length: ${file.length}`,
    'Cache-Control: no-cache',
    // Otherwise any site could load it as a script, and read its exceptions.
    'X-Content-Type-Options: nosniff',
    'Cross-Origin-Resource-Policy: same-origin',
    'Connection: close',
    '',
    '',
  ].join('\r\n');
  return new TextEncoder().encode(method === 'HEAD' ? head : head + file);
}

/**
 * A proxy auto-config file, in ASCII: destinations that these routes reach directly bypass the proxy, as far
 * as a PAC file can tell without resolving a name; everything else goes to the proxy, which decides.
 */
export function pacFile(
  routes: readonly RouteOptions[],
  proxy: HostPort,
  nat64: readonly string[] = [],
): string {
  const at = formatAddress(proxy);
  return `// What garter would send directly goes directly; everything else goes to garter, and never past it.
function FindProxyForURL(url, host) {
  var garter = "SOCKS5 ${at}";
  host = host.toLowerCase().replace(/^\\[(.*)\\]$/, "$1").replace(/\\.$/, "");
  var v4 = /^\\d+(\\.\\d+){3}$/.test(host);
  var v6 = host.indexOf(":") >= 0;
  if (host == "localhost" || dnsDomainIs(host, ".localhost") || host == "::1") return "DIRECT";
  if (v4 && isInNet(host, "127.0.0.0", "255.0.0.0")) return "DIRECT";
  // An IPv4 address inside, by which garter judges it.
  if (/^(::ffff:|64:ff9b::|2002:)/.test(host)) return garter;
${translatedTo(nat64).join('')}${linesOf(routes).join('')}  return garter;
}

function isInNet6(host, network, bits) {
  var a = groupsOf(host), b = groupsOf(network);
  for (var i = 0; bits > 0; i++, bits -= 16) {
    if ((a[i] ^ b[i]) & (bits < 16 ? 0xffff << (16 - bits) : 0xffff)) return false;
  }
  return true;
}

function groupsOf(ip) {
  var halves = ip.split("::"), groups = halves[0] ? halves[0].split(":") : [];
  var tail = halves[1] ? halves[1].split(":") : [];
  while (groups.length + tail.length < 8) groups.push("0");
  groups = groups.concat(tail);
  for (var i = 0; i < 8; i++) groups[i] = parseInt(groups[i], 16);
  return groups;
}
`;
}

function translatedTo(nat64: readonly string[]): string[] {
  return nat64.map((prefix) => `  if (${rangeTest(parseAddressRange(prefix)!)}) return garter;\n`);
}

/** One line for each condition of a route, in order, up to the route that matches everything else. */
function linesOf(routes: readonly RouteOptions[]): string[] {
  const lines: string[] = [];
  // After a proxied route for some addresses, any name may resolve to one of them.
  let knowsNames = true;
  for (const route of routes) {
    if (route.commands?.includes('connect') === false) continue;
    const conditions = route.to.map((text) => parseCondition(text)!);
    if (isPlainlyDirect(route)) {
      // A PAC file cannot test the user, source, port or listener.
      if ([route.user, route.from, route.port, route.listener].some((one) => one !== undefined)) continue;
      const told = conditions.filter(({ type }) => knowsNames || type !== 'name');
      lines.push(...told.flatMap(testsOf).map((test) => `  if (${test}) return "DIRECT";\n`));
    } else {
      if (conditions.some((one) => testsOf(one).length === 0)) break;
      knowsNames &&= conditions.every(({ type }) => type === 'name');
      lines.push(...conditions.flatMap(testsOf).map((test) => `  if (${test}) return garter;\n`));
    }
  }
  return lines;
}

/** Whether a browser would do the same as garter: not if the route has anything of its own. */
function isPlainlyDirect({ via, egress, dns, sendProxy }: RouteOptions): boolean {
  return via === 'direct' && [egress, dns, sendProxy].every((one) => one === undefined);
}

/**
 * JavaScript expressions for a condition, of which any one suffices; none for a condition that cannot be
 * listed.
 */
function testsOf(condition: Condition): string[] {
  switch (condition.type) {
    case 'name':
      return [nameTest(condition.name)];
    case 'range':
      return [rangeTest(condition.range)];
    case 'set': {
      const { set } = condition;
      // A browser does not need the reserved ranges.
      const isListed = set !== 'any' && set !== 'public' && set !== 'self' && set !== 'reserved';
      return isListed ? rangesOf(set).map(rangeTest) : [];
    }
    default:
      return condition satisfies never;
  }
}

function nameTest(name: string): string {
  if (!name.startsWith('.')) return `host == ${JSON.stringify(name)}`;
  return `host == ${JSON.stringify(name.slice(1))} || dnsDomainIs(host, ${JSON.stringify(name)})`;
}

/** For literals only: isInNet would resolve a name. */
function rangeTest({ first, last }: AddressRange): string {
  const network = JSON.stringify(formatIp(first));
  const masks = first.words.map((word, i) => ~(word ^ last.words[i]!) >>> 0);
  if (first.family === 4) {
    const mask = formatIp({ family: 4, words: [0, 0, 0, masks[3]!] });
    return `v4 && isInNet(host, ${network}, "${mask}")`;
  }
  const bits = masks.reduce((sum, mask) => sum + Math.clz32(~mask), 0);
  return `v6 && isInNet6(host, ${network}, ${bits})`;
}
