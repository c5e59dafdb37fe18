import assert from 'node:assert/strict';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { makeDirectory } from '../support/directory.ts';
import { garterCommand } from '../support/garter.ts';
import { check, run, start, until } from '../support/process.ts';
import { connectThrough, RawClient } from '../support/raw.ts';
import { closedPort, startEcho } from '../support/targets.ts';

const UNITS = join(import.meta.dirname, '../../contrib/systemd');

/** Simulates systemd: a datagram socket that prints each message on a line. */
const MANAGER = `
import socket, sys
manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
manager.bind(sys.argv[1])
print('bound', flush=True)
while True:
    print(manager.recv(4096).decode().replace('\\n', ' '), flush=True)
`;

suite('systemd', () => {
  test('socket activation, by systemd-socket-activate', async () => {
    await using echo = await startEcho();
    await using directory = await makeDirectory();
    const config = join(directory.path, 'garter.yaml');
    await writeFile(
      config,
      'listen: [{ address: "systemd:socks" }]\naccept: [{ allow: true, from: [loopback] }]\n' +
        'log: { to: { file: garter.log } }\n',
    );
    const ports = [await closedPort(), await closedPort()] as const;
    await using activator = await start(
      [
        'systemd-socket-activate',
        ...ports.map((port) => `--listen=127.0.0.1:${port}`),
        '--fdname=socks:other',
        '--setenv=PATH',
        garterCommand,
        'serve',
        '--config',
        config,
      ],
      { ready: new RegExp(`Listening on 127\\.0\\.0\\.1:${ports[1]}`) },
    );
    // The first client starts garter, and waits in the queue meanwhile.
    using client = await connectThrough({ host: '127.0.0.1', port: ports[0] }, echo);
    client.send(Buffer.from('hello'));
    await client.expect(Buffer.from('hello'));
    const says = new RegExp(`garter listening on 127\\.0\\.0\\.1:${ports[0]}\\n$`);
    await until(
      () => says.test(activator.stdout()),
      () => activator.stdout(),
    );
  });

  test('without sockets, the error explains what is missing', async () => {
    await using directory = await makeDirectory();
    const config = join(directory.path, 'garter.yaml');
    await writeFile(
      config,
      'listen: [{ address: systemd, methods: none }]\naccept: [{ allow: true, from: [loopback] }]\n',
    );
    const { code, stderr } = await run([garterCommand, 'serve', '--config', config]);
    assert.equal(code, 1);
    assert.match(stderr, /systemd passed no socket; is the socket unit running\?/);
  });

  test('systemd is notified of readiness, reload, watchdog and the end', async () => {
    await using directory = await makeDirectory();
    const socket = join(directory.path, 'notify');
    await using manager = await start(['python3', '-c', MANAGER, socket], { ready: /^bound$/m });
    const told = (pattern: RegExp): Promise<string> =>
      until(
        () => pattern.exec(manager.stdout())?.[0],
        () => `${pattern} was not told:\n${manager.stdout()}`,
      );
    await using garter = await start([garterCommand, 'serve', '--listen', '127.0.0.1:0'], {
      ready: /listening on (\S+)/,
      env: { NOTIFY_SOCKET: socket, WATCHDOG_USEC: '1000000' },
    });
    await told(new RegExp(`^READY=1 STATUS=listening on ${garter.ready[1]}`, 'm'));
    await told(/WATCHDOG=1[^]*WATCHDOG=1/);
    garter.signal('SIGHUP');
    await told(/RELOADING=1 MONOTONIC_USEC=\d+[^]*READY=1/);
    garter.signal('SIGTERM');
    await told(/STOPPING=1/);
    assert.equal(await garter.ended(), 0);
    assert.doesNotMatch(garter.stderr(), /systemd/);
  });

  test('a missing service manager does not end garter', async () => {
    await using garter = await start([garterCommand, 'serve', '--listen', '127.0.0.1:0'], {
      ready: /listening on \S+:(\d+)/,
      env: { NOTIFY_SOCKET: '/nowhere/notify' },
    });
    await until(
      () => garter.stderr().includes('could not notify systemd'),
      () => garter.stderr(),
    );
    using client = await RawClient.connect({ host: '127.0.0.1', port: Number(garter.ready[1]) });
    client.send('05 01 00');
    await client.expect('05 00');
  });

  test('the units are valid, and well protected', async () => {
    await using directory = await makeDirectory();
    await cp(UNITS, directory.path, { recursive: true });
    const service = join(directory.path, 'garter.service');
    const text = await readFile(service, 'utf8');
    // The program in the unit must exist for the check.
    await writeFile(service, text.replace('/usr/local/bin/garter', garterCommand));
    const verified = await run([
      'systemd-analyze',
      'verify',
      '--man=no',
      service,
      join(directory.path, 'garter.socket'),
    ]);
    assert.equal(
      verified.stderr
        .split('\n')
        .filter((line) => line.includes('garter'))
        .join('\n'),
      '',
    );
    const report = await check(['systemd-analyze', 'security', '--offline=yes', '--no-pager', service]);
    const [, exposure] = /Overall exposure level for garter\.service: ([\d.]+)/.exec(report) ?? [];
    // 0 is no exposure, 10 is a service without any protection.
    assert.ok(Number(exposure) < 2.5, report);
  });
});
