import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settingsOf } from '../../../test/support/settings.ts';
import { checkDevices } from './devices.ts';
import { Server } from '../server.ts';

const settings = settingsOf({ listen: [{ address: '127.0.0.1:0' }], log: { level: 'error' } });
const route = { name: 'out', label: 'direct', to: ['any'], via: 'direct', resolvesHere: false } as const;

const old = { deviceFault: (): string => 'needs Linux 5.7' };

for (const [what, change, message] of [
  [
    'an interface of a listener',
    { listeners: settings.listeners.map((listener) => ({ ...listener, interface: 'lo' })) },
    /^127\.0\.0\.1:0: interface: lo needs the fast engine/,
  ],
  [
    'an interface as egress',
    { routes: [{ ...route, egress: { addresses: ['127.0.0.1', 'lo'], rotate: 'none' } }] },
    /^route out: egress: lo needs the fast engine.*; or write its addresses$/,
  ],
] as const) {
  test(`${what} requires the fast engine: without it no server starts, and none accepts it in a reload`, async () => {
    const portable = { ...settings, engine: 'portable' } as const;
    await assert.rejects(Server.start({ ...portable, ...change }), { message });
    await using server = await Server.start(portable);
    await assert.rejects(server.reload({ ...portable, ...change }), { message });
  });

  test(`${what} fails where the kernel does not allow binding to a device`, () => {
    assert.throws(() => checkDevices({ ...settings, ...change }, old), /: lo needs Linux 5\.7/);
    checkDevices(settings, old);
    checkDevices({ ...settings, ...change }, { deviceFault: () => undefined });
  });
}

test('every engine supports an address as egress', () => {
  const egress = { addresses: ['127.0.0.1', 'fe80::1%eth0'], rotate: 'none' } as const;
  checkDevices({ ...settings, routes: [{ ...route, egress }] }, { deviceFault: assert.fail });
});
