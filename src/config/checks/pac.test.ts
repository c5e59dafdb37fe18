import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ListenerSettings } from '../../server/settings.ts';
import { markPac } from './pac.ts';

const listener = (host: string, more: Partial<ListenerSettings> = {}): ListenerSettings => ({
  address: { host, port: 1080 },
  protocols: ['socks5'],
  methods: ['none'],
  udp: { advertise: [], replies: 'peers' },
  ...more,
});
const TLS = { cert: 'server.pem', key: 'server.key', ticketKeys: new Uint8Array(48) };

test('proxy.pac is only served on loopback, without TLS', () => {
  const rows: readonly (readonly [ListenerSettings, boolean])[] = [
    [listener('127.0.0.1'), true],
    [listener('127.0.0.2'), true],
    [listener('::1'), true],
    [listener('127.0.0.1', { tls: TLS }), false],
    [listener('0.0.0.0'), false],
    [listener('10.0.3.1'), false],
    [listener('', { address: { path: '/run/garter/socks', mode: 0o660 } }), false],
    [listener('', { address: { activated: '' } }), false],
  ];
  for (const [made, expected] of rows) {
    const faults: string[] = [];
    const error = (_path: unknown, message: string): void => void faults.push(message);
    const [marked] = markPac([{ made, path: ['listen', 0] }], true, { error });
    assert.equal(marked?.pac, expected ? true : undefined);
    assert.equal(faults.length, expected ? 0 : 1);
    assert.equal(markPac([{ made, path: ['listen', 0] }], false, { error })[0], made);
  }
});
