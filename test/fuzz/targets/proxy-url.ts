import { agentSettings } from '../../../src/config/load.ts';
import { formatProblems } from '../../../src/config/source/problem.ts';
import { proxyUrl } from '../../../src/config/schema/proxy-url.ts';
import type { ServerRef } from '../../../src/config/schema/proxy-url.ts';
import { parseIp } from '../../../src/wire/ip.ts';
import { keeps, same, utf8, words } from '../target.ts';
import type { Target } from '../target.ts';

/** The beginning of every password here. */
const SECRET = /Zq7h/;

export const targets: readonly Target[] = [
  {
    name: 'proxy-url',
    testRuns: 3000,
    seeds: [
      'socks5h://alice:Zq7hunter@proxy.example.org:1080',
      'socks4a://joe@10.0.3.1',
      'http://a%40b:Zq7hunter%3A@PROXY.example:80/',
      'https://[2001:db8::1]:8443',
      'socks5h+tls://å:Zq7hunter@bücher.example.',
      'socks5h://localhost/run/tor/so%20cks',
      'socks5h://alice:Zq7hun/ter@proxy.example.org:1080, http://b.example',
    ].map(utf8),
    tokens: words(
      ':// : @ / \\ ? # % %41 %zz [ ] , \t \0 :80 :080 :443 :0 :65536 ::ffff:1.2.3.4 127.1 0x7f.1 localhost',
      'socks4 socks4a socks5 socks5h http https +tls SOCKS5H xn--bcher-kva é ｅ ß \u{FFFD} Zq7hunter alice: bob@',
    ),
    run(input) {
      const text = Buffer.from(input).toString();
      const { data, error } = proxyUrl.safeParse(text);
      const told = JSON.stringify(error?.issues ?? []);
      keeps('a message does not show the URL', !SECRET.test(told), () => told);
      // Text in the position of a host or path is not a password.
      const shows = data !== undefined && SECRET.test(data.label);
      const { errors, warnings } = agentSettings(undefined, {}, { GARTER_UPSTREAM: text });
      const said = formatProblems(errors, 'error') + formatProblems(warnings, 'warning');
      keeps('the agent does not show it', shows || !SECRET.test(said), () => said);
      if (data === undefined) return error.issues[0]!.message;
      return examine(data);
    },
  },
];

function examine(server: ServerRef): string {
  const { label, at, credentials, ...rest } = server;
  keeps('a port is one', at.port >= 1 && at.port <= 65_535, () => `${at.port}`);
  keeps(
    'a host is an address or a name',
    parseIp(at.host) !== undefined || /^[\w.-]+$/.test(at.host),
    () => at.host,
  );
  same('a label is the URL without secrets', proxyUrl.parse(label), { label, at, ...rest });
  if (credentials !== undefined) {
    const login = [credentials.username, credentials.password].map(encodeURIComponent).join(':');
    same('written out, it is the same', proxyUrl.parse(label.replace('://', `://${login}@`)), server);
  }
  return `${rest.protocol} ${rest.passesNames} ${rest.tls !== undefined} ${rest.path !== undefined} ${credentials !== undefined}`;
}
