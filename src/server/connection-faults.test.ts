import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { formatHex, parseHex } from '../../test/support/raw.ts';
import { ServerScene, OPEN, ALICE, refused, rejected } from '../../test/support/server-scene.ts';

const text = (value: string): Buffer => Buffer.from(value, 'latin1');
const named = (name: string): Buffer =>
  Buffer.concat([parseHex('05 01 00 03'), Buffer.of(name.length), text(name), parseHex('00 50')]);

/**
 * Everything that a client sends, in one piece, and everything that it receives until its connection ends.
 */
const SAYINGS: readonly {
  readonly title: string;
  readonly says: readonly (string | Uint8Array)[];
  readonly gets: string;
  readonly end: string;
}[] = [
  {
    title: 'unknown methods only',
    says: ['05 03 03 80 fe'],
    gets: '05 ff',
    end: 'policy:greeting:no-method',
  },
  {
    title: '255 methods, all unknown',
    says: ['05 ff', Buffer.alloc(255, 9)],
    gets: '05 ff',
    end: 'policy:greeting:no-method',
  },
  {
    title: 'login version 5',
    says: ['05 01 02 05 01 61 01 61'],
    gets: '05 02 01 01',
    end: 'client:auth:ERR_SOCKS_PASSWORD_VERSION',
  },
  {
    title: 'an empty user name',
    says: ['05 01 02 01 00 01 61'],
    gets: '05 02 01 01',
    end: 'policy:auth:wrong',
  },
  {
    title: 'an empty password',
    says: ['05 01 02 01 01 61 00'],
    gets: '05 02 01 01',
    end: 'policy:auth:wrong',
  },
  {
    title: 'request version 4',
    says: ['05 01 00 04 01 00 01 7f 00 00 01 00 50'],
    gets: refused('01'),
    end: 'client:request:ERR_SOCKS_VERSION',
  },
  {
    title: 'address type 2',
    says: ['05 01 00 05 01 00 02 7f 00 00 01 00 50'],
    gets: refused('08'),
    end: 'client:request:ERR_SOCKS_ADDRESS_TYPE',
  },
  {
    title: 'address type 255',
    says: ['05 01 00 05 01 00 ff 7f 00 00 01 00 50'],
    gets: refused('08'),
    end: 'client:request:ERR_SOCKS_ADDRESS_TYPE',
  },
  {
    title: 'command 0',
    says: ['05 01 00 05 00 00 01 7f 00 00 01 00 50'],
    gets: refused('07'),
    end: 'client:request:command',
  },
  {
    title: 'command 9',
    says: ['05 01 00 05 09 00 01 7f 00 00 01 00 50'],
    gets: refused('07'),
    end: 'client:request:command',
  },
  {
    title: 'RESOLVE of an invalid name',
    says: ['05 01 00 05 f0 00 03 01 21 00 50'],
    gets: refused('04'),
    end: 'client:request:bad-name',
  },
  {
    title: 'RESOLVE_PTR of a name',
    says: ['05 01 00 05 f1 00 03 01 61 00 50'],
    gets: refused('08'),
    end: 'client:request:address-type',
  },
  {
    title: 'an empty name',
    says: ['05 01 00', named('')],
    gets: refused('04'),
    end: 'client:request:bad-name',
  },
  {
    title: 'a NUL in a name',
    says: ['05 01 00', named('localhost\0.evil')],
    gets: refused('04'),
    end: 'client:request:bad-name',
  },
  {
    title: 'CR LF in a name',
    says: ['05 01 00', named('local\r\nhost')],
    gets: refused('04'),
    end: 'client:request:bad-name',
  },
  {
    title: 'ESC in a name',
    says: ['05 01 00', named('local\x1bhost')],
    gets: refused('04'),
    end: 'client:request:bad-name',
  },
  {
    title: 'bytes that are not UTF-8',
    says: ['05 01 00', named('\xff\xfe')],
    gets: refused('01'),
    end: 'client:request:ERR_SOCKS_NAME',
  },
  {
    title: 'a name of 255',
    says: ['05 01 00', named('a'.repeat(255))],
    gets: refused('04'),
    end: 'client:request:bad-name',
  },
  {
    title: '127.1',
    says: ['05 01 00', named('127.1')],
    gets: refused('02'),
    end: 'policy:request:numeric-name',
  },
  {
    title: '0x7f.1',
    says: ['05 01 00', named('0x7f.1')],
    gets: refused('02'),
    end: 'policy:request:numeric-name',
  },
  {
    title: '2130706433',
    says: ['05 01 00', named('2130706433')],
    gets: refused('02'),
    end: 'policy:request:numeric-name',
  },
  {
    title: 'SOCKS4 command 9',
    says: ['04 09 00 50 7f 00 00 01 00'],
    gets: rejected,
    end: 'client:request:command',
  },
  {
    title: 'SOCKS4A with an empty name',
    says: ['04 01 00 50 00 00 00 01 00 00'],
    gets: rejected,
    end: 'client:request:bad-name',
  },
  { title: 'version 0', says: ['00 01 02 03'], gets: '', end: 'client:greeting:unknown' },
  { title: 'version 6', says: ['06 01 00 00'], gets: '', end: 'client:greeting:unknown' },
  {
    title: 'a PROXY header',
    says: [text('PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n')],
    gets: '',
    end: 'client:greeting:proxy',
  },
  {
    title: 'a PROXY header, version 2',
    says: ['0d 0a 0d 0a 00 0d 0a 51 55 49 54 0a 21 11 00 0c'],
    gets: '',
    end: 'client:greeting:proxy',
  },
];

suite('faulty clients', () => {
  for (const { title, says, gets, end } of SAYINGS) {
    test(`${title}: receives ${gets === '' ? 'nothing' : gets}`, async () => {
      using scene = new ServerScene(OPEN);
      const client = scene.serve();
      client.send(...says);
      client.end();
      assert.equal(formatHex(await client.rest()), gets);
      const record = await scene.record();
      assert.deepEqual([record.end, record.address], [end, undefined]);
    });
  }
});

suite('the handshake has a single deadline', () => {
  const login = text('\x01\x05alice\x06secret');
  for (const { title, says, end } of [
    { title: 'nothing', says: [], end: 'timeout:greeting' },
    { title: 'one byte', says: ['05'], end: 'timeout:greeting' },
    { title: 'half a greeting', says: ['05 02 00'], end: 'timeout:greeting' },
    { title: 'a greeting', says: ['05 01 00'], end: 'timeout:request' },
    { title: 'half a login', says: ['05 01 02', login.subarray(0, 9)], end: 'timeout:auth' },
    { title: 'a login', says: ['05 01 02', login], end: 'timeout:request' },
    { title: 'half a request', says: ['05 01 00', '05 01 00 01 7f'], end: 'timeout:request' },
    { title: 'half a SOCKS4 request', says: ['04 01 00 50 7f 00 00 01 61'], end: 'timeout:greeting' },
  ]) {
    test(`${title}, then silence`, async () => {
      using scene = new ServerScene(OPEN, { authenticator: ALICE });
      scene.state.timeouts = { ...scene.state.timeouts, handshake: 10 };
      const client = scene.serve();
      client.send(...says);
      await client.gone();
      assert.equal(await scene.end(), end);
    });
  }
});
