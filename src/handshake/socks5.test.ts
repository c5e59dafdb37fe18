import {
  BOUND,
  hexOf,
  runClientTranscripts,
  runServerTranscripts,
  connect,
  withPassword,
  bind,
} from '../../test/support/transcripts.ts';

const greeting = ['> 05 01 00', '< 05 00'];
const request = '05 01 00 01 c0 00 02 01 00 50';

runServerTranscripts([
  { name: 'CONNECT', lines: [...greeting, `> ${request}`, `< 05 00 00 ${BOUND}`] },
  {
    name: 'CONNECT refused by a rule',
    lines: [...greeting, `> ${request}`, '< 05 02 00 01 00 00 00 00 00 00'],
    replies: [2],
  },
  {
    name: 'early data',
    lines: [...greeting, `> ${request} ${hexOf('GET /')}`, `< 05 00 00 ${BOUND}`],
    trailing: hexOf('GET /'),
  },
  {
    name: 'a password',
    lines: [
      '> 05 02 00 02',
      '< 05 02',
      `> 01 05 ${hexOf('alice')} 02 ${hexOf('pw')}`,
      '< 01 00',
      `> ${request}`,
      `< 05 00 00 ${BOUND}`,
    ],
  },
  {
    name: 'a wrong password',
    lines: ['> 05 01 02', '< 05 02', `> 01 05 ${hexOf('alice')} 02 ${hexOf('no')}`, '< 01 01'],
  },
  { name: 'no acceptable method', lines: ['> 05 02 01 80', '< 05 ff'] },
  {
    name: 'BIND',
    lines: [...greeting, '> 05 02 00 01 c0 00 02 01 00 50', `< 05 00 00 ${BOUND}`, `< 05 00 00 ${BOUND}`],
    replies: [0, 0],
  },
  {
    name: 'BIND whose peer does not connect',
    lines: [
      ...greeting,
      '> 05 02 00 01 c0 00 02 01 00 50',
      `< 05 00 00 ${BOUND}`,
      '< 05 01 00 01 00 00 00 00 00 00',
    ],
    replies: [0, 1],
  },
  { name: 'UDP ASSOCIATE', lines: [...greeting, '> 05 03 00 01 00 00 00 00 00 00', `< 05 00 00 ${BOUND}`] },
  { name: 'RESOLVE', lines: [...greeting, `> 05 f0 00 03 01 61 00 00`, `< 05 00 00 ${BOUND}`] },
  { name: 'RESOLVE_PTR', lines: [...greeting, '> 05 f1 00 01 c0 00 02 01 00 00', `< 05 00 00 ${BOUND}`] },
  {
    name: 'an unknown command',
    lines: [...greeting, '> 05 09 00 01 c0 00 02 01 00 50', '< 05 07 00 01 00 00 00 00 00 00'],
    replies: [7],
  },
  { name: 'a greeting without methods', lines: ['> 05 00', '! ERR_SOCKS_NO_METHODS', '< 05 ff'] },
  {
    name: 'a password of another version',
    lines: ['> 05 01 02', '< 05 02', '> 05 05', '! ERR_SOCKS_PASSWORD_VERSION', '< 01 01'],
  },
  {
    name: 'an unrequested password',
    lines: [...greeting, '> 01 01 61 01 61', '! ERR_SOCKS_VERSION', '< 05 01 00 01 00 00 00 00 00 00'],
  },
  {
    name: 'a request with ATYP 2',
    lines: [...greeting, '> 05 01 00 02', '! ERR_SOCKS_ADDRESS_TYPE', '< 05 08 00 01 00 00 00 00 00 00'],
  },
  {
    name: 'SOCKS5 where it is switched off',
    lines: ['> 05 01 00', '! ERR_SOCKS_VERSION', '< 05 ff'],
    protocols: ['socks4'],
  },
]);

const toServer = '> 05 01 00 03 0b 6578616d706c652e636f6d 0050';
const toRequest = ['> 05 01 00', '< 05 00', toServer];
const toStatus = ['> 05 02 00 02', '< 05 02', '> 01 05 616c696365 06 736563726574'];

runClientTranscripts([
  {
    name: 'CONNECT, with bytes glued to the reply',
    options: connect,
    lines: [
      ...toRequest,
      '< 05 00 00 01 c0000207 d431 5353482d',
      '= ok 0 192.0.2.7:54321',
      '= done 5353482d',
    ],
  },
  {
    name: 'CONNECT refused',
    options: connect,
    lines: [...toRequest, '< 05 05 00 01 00000000 0000 ff', '= no 5 0.0.0.0:0', '= closed'],
  },
  {
    name: 'CONNECT refused with an unknown code',
    options: connect,
    lines: [...toRequest, '< 05 f4 00 01 00000000 0000', '= no 244 0.0.0.0:0', '= closed'],
  },
  {
    name: 'half a reply',
    options: connect,
    lines: [...toRequest, '< 05 00 00 01 c000', '= reply'],
  },
  {
    name: 'a password, and a name as bound address',
    options: withPassword,
    lines: [...toStatus, '< 01 00', toServer, '< 05 00 00 03 01 61 0001', '= ok 0 a:1', '= done'],
  },
  {
    name: 'a password status of version 5',
    options: withPassword,
    lines: [...toStatus, '< 05 00', toServer, '= reply'],
  },
  {
    name: 'a wrong password',
    options: withPassword,
    lines: [...toStatus, '< 01 01', '= refused password', '= closed'],
  },
  {
    name: 'a server that requires no password',
    options: withPassword,
    lines: ['> 05 02 00 02', '< 05 00', toServer, '= reply'],
  },
  {
    name: 'no method',
    options: connect,
    lines: ['> 05 01 00', '< 05 ff 00', '= refused method', '= closed'],
  },
  {
    name: 'a method that was not offered',
    options: connect,
    lines: ['> 05 01 00', '< 05 02', '= ERR_SOCKS_METHOD_NOT_OFFERED', '= closed'],
  },
  {
    name: 'an HTTP server',
    options: connect,
    lines: ['> 05 01 00', '< 485454502f312e31', '= ERR_SOCKS_VERSION', '= closed'],
  },
  {
    name: 'success with ATYP 0',
    options: connect,
    lines: [...toRequest, '< 05 00 00 00', '= ERR_SOCKS_ADDRESS_TYPE', '= closed'],
  },
  ...[
    '05 05',
    '05 05 00',
    '05 05 00 00',
    '05 05 00 03 00 0000',
    '05 05 00 03 02 c328 0000',
    '05 05 00 09',
  ].map((hex) => ({
    name: `a refusal of ${hex}`,
    options: connect,
    lines: [...toRequest, `< ${hex}`, '= no 5 0.0.0.0:0', '= closed'],
  })),
  {
    name: 'BIND, with both replies and the first byte in one piece',
    options: bind,
    lines: [
      '> 05 01 00',
      '< 05 00',
      '> 05 02 00 01 c0000201 0015',
      '< 05 00 00 01 c0000207 9c40 05 00 00 01 c0000201 0014 32',
      '= ok 0 192.0.2.7:40000',
      '= ok 0 192.0.2.1:20',
      '= done 32',
    ],
  },
  {
    name: 'BIND that waits',
    options: bind,
    lines: [
      '> 05 01 00',
      '< 05 00',
      '> 05 02 00 01 c0000201 0015',
      '< 05 00 00 01 c0000207 9c40',
      '= ok 0 192.0.2.7:40000',
      '= bind',
    ],
  },
  {
    name: 'BIND refused at once',
    options: bind,
    lines: [
      '> 05 01 00',
      '< 05 00',
      '> 05 02 00 01 c0000201 0015',
      '< 05 02 00 01 00000000 0000',
      '= no 2 0.0.0.0:0',
      '= closed',
    ],
  },
]);
