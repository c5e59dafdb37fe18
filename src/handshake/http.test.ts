import { headOf, runClientTranscripts, runServerTranscripts } from '../../test/support/transcripts.ts';
import { addressOf } from '../wire/address.ts';
import { Command } from '../wire/socks5.ts';

const httpConnect = 'CONNECT example.com:443 HTTP/1.1';
const established = headOf('HTTP/1.1 200 Connection established');
const challenge = headOf(
  'HTTP/1.1 407 Proxy Authentication Required',
  'Proxy-Authenticate: Basic realm="garter", charset="UTF-8"',
  'Content-Length: 0',
  'Connection: close',
);
const PROTOCOLS = ['socks5', 'socks4', 'http'] as const;

runServerTranscripts([
  {
    name: 'HTTP',
    lines: [`> ${headOf(httpConnect, 'Host: a')}`, `< ${established}`],
    protocols: PROTOCOLS,
  },
  {
    name: 'HTTP with early data',
    lines: [`> ${headOf(httpConnect)} 160301`, `< ${established}`],
    trailing: '160301',
    protocols: PROTOCOLS,
  },
  {
    name: 'HTTP with a password',
    lines: [`> ${headOf(httpConnect, 'Proxy-Authorization: Basic YWxpY2U6cHc=')}`, `< ${established}`],
    protocols: PROTOCOLS,
  },
  {
    name: 'HTTP with a wrong password',
    lines: [`> ${headOf(httpConnect, 'Proxy-Authorization: Basic YWxpY2U6bm8=')}`, `< ${challenge}`],
    protocols: PROTOCOLS,
  },
  {
    name: 'HTTP refused',
    lines: [
      `> ${headOf(httpConnect)}`,
      `< ${headOf('HTTP/1.1 502 Bad Gateway', 'Proxy-Status: garter; error=connection_refused', 'Content-Length: 0', 'Connection: close')}`,
    ],
    replies: [5],
    protocols: PROTOCOLS,
  },
  {
    name: 'HTTP without a port',
    lines: [
      `> ${headOf('CONNECT example.com HTTP/1.1')}`,
      '! ERR_HTTP_HEAD',
      `< ${headOf('HTTP/1.1 400 Bad Request', 'Content-Length: 0', 'Connection: close')}`,
    ],
    protocols: PROTOCOLS,
  },
]);

const connect = { command: Command.connect, destination: addressOf('example.com', 80) };
const withPassword = { ...connect, credentials: { username: 'alice', password: 'secret' } };

runClientTranscripts([
  {
    name: 'HTTP, with bytes glued to the answer',
    options: { ...connect, protocol: 'http' },
    lines: [
      `> ${headOf('CONNECT example.com:80 HTTP/1.1', 'Host: example.com:80')}`,
      `< ${headOf('HTTP/1.1 200 OK')} 5353482d`,
      '= ok 200 0.0.0.0:0',
      '= done 5353482d',
    ],
  },
  {
    name: 'HTTP refused',
    options: { ...connect, protocol: 'http' },
    lines: [
      `> ${headOf('CONNECT example.com:80 HTTP/1.1', 'Host: example.com:80')}`,
      `< ${headOf('HTTP/1.1 403 Forbidden', 'Content-Length: 2')} 6e6f`,
      '= no 403 0.0.0.0:0',
      '= closed',
    ],
  },
  {
    name: 'HTTP refused with malformed fields',
    options: { ...connect, protocol: 'http' },
    lines: [
      `> ${headOf('CONNECT example.com:80 HTTP/1.1', 'Host: example.com:80')}`,
      `< ${headOf('HTTP/1.1 504 Late', 'and so on')}`,
      '= no 504 0.0.0.0:0',
      '= closed',
    ],
  },
  {
    name: 'HTTP with a wrong password',
    options: { ...withPassword, protocol: 'http' },
    lines: [
      `> ${headOf('CONNECT example.com:80 HTTP/1.1', 'Host: example.com:80', 'Proxy-Authorization: Basic YWxpY2U6c2VjcmV0')}`,
      `< ${headOf('HTTP/1.1 407 No', 'Proxy-Authenticate: Basic')}`,
      '= refused password',
      '= closed',
    ],
  },
  {
    name: 'HTTP that requires a password',
    options: { ...connect, protocol: 'http' },
    lines: [
      `> ${headOf('CONNECT example.com:80 HTTP/1.1', 'Host: example.com:80')}`,
      `< ${headOf('HTTP/1.1 407 No', 'Proxy-Authenticate: Basic')}`,
      '= refused method',
      '= closed',
    ],
  },
  {
    name: 'an SSH server instead of HTTP',
    options: { ...connect, protocol: 'http' },
    lines: [
      `> ${headOf('CONNECT example.com:80 HTTP/1.1', 'Host: example.com:80')}`,
      `< ${headOf('SSH-2.0-OpenSSH_9.2')}`,
      '= ERR_HTTP_HEAD',
      '= closed',
    ],
  },
]);
