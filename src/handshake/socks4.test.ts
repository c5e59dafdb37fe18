import { hexOf, runClientTranscripts, runServerTranscripts } from '../../test/support/transcripts.ts';
import { addressOf } from '../wire/address.ts';
import { Command } from '../wire/socks5.ts';

runServerTranscripts([
  { name: 'SOCKS4', lines: ['> 04 01 00 50 c0 00 02 01 00', '< 00 5a 0f a0 c0 00 02 09'] },
  {
    name: 'SOCKS4 refused',
    lines: ['> 04 01 00 50 c0 00 02 01 00', '< 00 5b 00 00 00 00 00 00'],
    replies: [5],
  },
  {
    name: 'SOCKS4A with early data',
    lines: [
      `> 04 01 00 50 00 00 00 01 ${hexOf('joe')} 00 ${hexOf('example.com')} 00 ff`,
      '< 00 5a 0f a0 c0 00 02 09',
    ],
    trailing: 'ff',
  },
  {
    name: 'SOCKS4 BIND',
    lines: ['> 04 02 00 50 c0 00 02 01 00', '< 00 5a 0f a0 c0 00 02 09', '< 00 5b 00 00 00 00 00 00'],
    replies: [0, 1],
  },
  {
    name: 'a user id without end',
    lines: [
      `> 04 01 00 50 c0 00 02 01 ${'61'.repeat(256)}`,
      '! ERR_SOCKS_USER_ID',
      '< 00 5b 00 00 00 00 00 00',
    ],
  },
  {
    name: 'SOCKS4 where it is switched off',
    lines: ['> 04 01 00 50 c0 00 02 01 00', '! ERR_SOCKS_VERSION', '< 00 5b 00 00 00 00 00 00'],
    protocols: ['socks5'],
  },
]);

const connect = { command: Command.connect, destination: addressOf('example.com', 80) };
const bind = { command: Command.bind, destination: addressOf('192.0.2.1', 21) };

runClientTranscripts([
  {
    name: 'SOCKS4',
    options: { ...bind, protocol: 'socks4', userId: 'joe' },
    lines: [
      '> 04 02 0015 c0000201 6a6f65 00',
      '< 00 5a 9c40 c0000207',
      '< 00 5b 0000 00000000',
      '= ok 90 192.0.2.7:40000',
      '= no 91 0.0.0.0:0',
      '= closed',
    ],
  },
  {
    name: 'SOCKS4A',
    options: { ...connect, protocol: 'socks4a' },
    lines: [
      '> 04 01 0050 00000001 00 6578616d706c652e636f6d 00',
      '< 00 5a 0000 00000000 5353482d',
      '= ok 90 0.0.0.0:0',
      '= done 5353482d',
    ],
  },
  {
    name: 'a SOCKS4 reply of version 4',
    options: { ...connect, protocol: 'socks4a' },
    lines: [
      '> 04 01 0050 00000001 00 6578616d706c652e636f6d 00',
      '< 04 5a 0000 00000000 5353482d',
      '= ok 90 0.0.0.0:0',
      '= done 5353482d',
    ],
  },
  {
    name: 'a SOCKS4 reply of version 5',
    options: { ...connect, protocol: 'socks4a' },
    lines: [
      '> 04 01 0050 00000001 00 6578616d706c652e636f6d 00',
      '< 05 00',
      '= ERR_SOCKS_VERSION',
      '= closed',
    ],
  },
  ...['00 5b', '04 5c 00'].map((hex) => ({
    name: `a SOCKS4 refusal of ${hex}`,
    options: { ...connect, protocol: 'socks4a' } as const,
    lines: [
      '> 04 01 0050 00000001 00 6578616d706c652e636f6d 00',
      `< ${hex}`,
      `= no ${parseInt(hex.slice(3, 5), 16)} 0.0.0.0:0`,
      '= closed',
    ],
  })),
]);
