import assert from 'node:assert/strict';
import { hostname } from 'node:os';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { makeDirectory } from '../support/directory.ts';
import { garterCommand } from '../support/garter.ts';
import { start, until, type Daemon } from '../support/process.ts';
import { connectThrough, RawClient } from '../support/raw.ts';
import { closedPort, startEcho } from '../support/targets.ts';

/** Prints every message as `facility.severity|time|host|name|process|id|text`. */
function rsyslogConfig(input: readonly string[]): string {
  const parts = ['pri-text', 'timereported:::date-rfc3339', 'hostname', 'app-name', 'procid', 'msgid', 'msg'];
  return `global(net.enableDNS="off" processInternalMessages="on")
template(name="parts" type="string" string="${parts.map((part) => `%${part}%`).join('|')}\\n")
${input.join('\n')}
action(type="omfile" file="/dev/stdout" template="parts")
`;
}

function startRsyslog(config: string): Promise<Daemon> {
  const command = 'rsyslogd -n -i NONE -f "$1" | cat';
  return start(['sh', '-c', command, 'sh', config], { ready: /rsyslogd.* start$/m });
}

/** A machine whose /dev/log is the socket of the test. */
const OWN_DEV = `
  mkdir "$1/dev"
  mount -t tmpfs dev "$1/dev"
  for device in full null random urandom zero; do
    touch "$1/dev/$device"
    mount --bind "/dev/$device" "$1/dev/$device"
  done
  ln -s /proc/self/fd "$1/dev/fd"
  ln -s "$1/log" "$1/dev/log"
  mount --move "$1/dev" /dev
  shift
  exec "$@"`;

interface Transport {
  readonly name: string;
  /** The input of rsyslog, and the destination of garter's log. */
  readonly input: (directory: string, port: number) => readonly string[];
  readonly to: (port: number) => string;
  /** Put in front of the command of garter. */
  readonly prefix: (directory: string) => readonly string[];
  /** The fault while rsyslog is stopped, and the number of lines lost by it. */
  readonly fault: RegExp;
  readonly lost: number;
}

const transports: readonly Transport[] = [
  {
    name: 'UDP',
    input: (_, port) => ['module(load="imudp")', `input(type="imudp" address="127.0.0.1" port="${port}")`],
    to: (port) => `udp://127.0.0.1:${port}`,
    prefix: () => [],
    fault: /ECONNREFUSED/,
    lost: 1,
  },
  {
    name: 'TCP',
    input: (_, port) => ['module(load="imtcp")', `input(type="imtcp" address="127.0.0.1" port="${port}")`],
    to: (port) => `tcp://127.0.0.1:${port}`,
    prefix: () => [],
    fault: /ECONNREFUSED/,
    lost: 0,
  },
  {
    name: 'logger(1)',
    input: (directory) => [
      'module(load="imuxsock" SysSock.Use="off")',
      `input(type="imuxsock" socket="${directory}/log")`,
    ],
    to: () => 'local',
    prefix: (directory) => ['unshare', '--mount', 'sh', '-ec', OWN_DEV, 'sh', directory],
    fault: /logger-1/,
    lost: 1,
  },
];

interface Scene extends AsyncDisposable {
  readonly garter: Daemon;
  readonly proxy: { readonly host: string; readonly port: number };
  readonly rsyslog: Daemon;
  /** Kills rsyslog, and starts it again. */
  readonly kill: () => Promise<void>;
  readonly revive: () => Promise<Daemon>;
  readonly readiness: () => Promise<string>;
}

async function setScene({ input, to, prefix }: Transport, format: 'text' | 'json'): Promise<Scene> {
  await using stack = new AsyncDisposableStack();
  const directory = stack.use(await makeDirectory()).path;
  const [config, rsyslogFile] = [join(directory, 'garter.yaml'), join(directory, 'rsyslog.conf')];
  const port = await closedPort();
  await writeFile(rsyslogFile, rsyslogConfig(input(directory, port)));
  await writeFile(
    config,
    `listen: [{ address: 127.0.0.1:0, methods: [password, none] }]
users: { name: alice, password: "\${ALICE}" }
rules: [{ name: all, allow: any, to: [loopback] }]
health: 127.0.0.1:0
workers: 1
log: { format: ${format}, to: { syslog: "${to(port)}" } }
`,
  );
  const rsyslog = await startRsyslog(rsyslogFile);
  stack.defer(() => rsyslog[Symbol.asyncDispose]());
  const garter = stack.use(
    await start([...prefix(directory), garterCommand, 'serve', '--config', config], {
      ready: /listening on 127\.0\.0\.1:(\d+)\n.*readyz on (\S+)\n/,
      env: { ALICE: 'correct horse' },
    }),
  );
  const resources = stack.move();
  return {
    garter,
    proxy: { host: '127.0.0.1', port: Number(garter.ready[1]) },
    rsyslog,
    kill: async () => rsyslog[Symbol.asyncDispose](),
    revive: async () => {
      const again = await startRsyslog(rsyslogFile);
      resources.defer(() => again[Symbol.asyncDispose]());
      return again;
    },
    readiness: async () => (await fetch(`http://${garter.ready[2]}/readyz`)).text(),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

async function failLogin(proxy: Scene['proxy'], name: string): Promise<void> {
  using client = await RawClient.connect(proxy);
  const user = Buffer.from(name);
  client.send('05 01 02', Buffer.of(1, user.length), user, '01 78');
  await client.expect('05 02 01 01');
}

/** Waits for this many lines of rsyslog about this event. */
function untilShown(rsyslog: Daemon, event: string, count = 1): Promise<readonly string[]> {
  const shown = (): string[] =>
    rsyslog
      .stdout()
      .split('\n')
      .filter((line) => line.split('|')[6]?.trimStart().startsWith(event));
  return until(
    () => (shown().length >= count ? shown() : undefined),
    () => `not ${count} times "${event}":\n${rsyslog.stdout()}`,
  );
}

for (const transport of transports) {
  suite(`syslog by ${transport.name}, with rsyslog`, () => {
    test('every part of a message arrives intact', async () => {
      await using scene = await setScene(transport, 'text');
      const began = Date.now();
      await failLogin(scene.proxy, 'jörg\n<0>€|');
      const [line] = await untilShown(scene.rsyslog, 'login-failed');
      const [priority, time, host, name, pid, id, ...text] = line!.split('|');
      assert.equal(priority, 'daemon.warning');
      const at = Date.parse(time!);
      assert.ok(began <= at && at <= Date.now(), `the time is ${time}`);
      assert.equal(host, hostname());
      assert.equal(name, 'garter');
      assert.match(pid!, /^\d+$/);
      assert.equal(id, transport.name === 'logger(1)' ? '-' : 'login-failed');
      assert.match(
        text.join('|').trimStart(),
        /^login-failed id=\S+ client=127\.0\.0\.1:\d+ reason=wrong user="jörg\\n<0>€\|"$/,
      );
    });

    test('rsyslog killed and started again: connections are unaffected, and the log continues with the number of lost lines', async () => {
      await using echo = await startEcho();
      await using scene = await setScene(transport, 'text');
      await failLogin(scene.proxy, 'before');
      await untilShown(scene.rsyslog, 'login-failed');
      await scene.kill();
      const fault = await until(
        async () => {
          using client = await connectThrough(scene.proxy, echo);
          client.send(Buffer.from('hello'));
          await client.expect(Buffer.from('hello'));
          client.end();
          await client.rest();
          return transport.fault.exec(await scene.readiness())?.[0];
        },
        () => 'the fault is not told',
      );
      for (let i = 0; i < 10; i++) await failLogin(scene.proxy, `during-${i}`);
      const again = await scene.revive();
      const [end] = await untilShown(again, 'log-recovered');
      const [, code, lost] = /code=(\S+) lost=(\d+)/.exec(end!)!;
      assert.equal(code, fault);
      assert.equal(Number(lost), transport.lost);
      assert.equal(await scene.readiness(), 'ready\n');
      // Messages during the outage have arrived, in order.
      const logins = await untilShown(again, 'login-failed', 10);
      assert.deepEqual(
        logins.map((line) => / user=(\S+)/.exec(line)![1]),
        Array.from({ length: 10 }, (_, i) => `during-${i}`),
      );
      const complaints = scene.garter.stderr().match(/the log cannot be written/g);
      assert.equal(complaints?.length, 1, scene.garter.stderr());
    });

    test('the last lines arrive, even though the signal reaches every process of the service', async () => {
      await using echo = await startEcho();
      await using scene = await setScene(transport, 'json');
      const client = await connectThrough(scene.proxy, echo);
      process.kill(-scene.garter.pid, 'SIGTERM');
      await until(
        () => scene.rsyslog.stdout().includes('"event":"ending"'),
        () => `no end:\n${scene.rsyslog.stdout()}`,
      );
      client.end();
      await client.rest();
      client[Symbol.dispose]();
      assert.equal(await scene.garter.ended(), 0);
      const last = await until(
        () => /\{.*"event":"disconnect".*\}/.exec(scene.rsyslog.stdout())?.[0],
        () => `no record:\n${scene.rsyslog.stdout()}`,
      );
      assert.equal((JSON.parse(last) as { destination: string }).destination, `127.0.0.1:${echo.port}`);
      assert.equal(scene.garter.stderr(), '');
    });
  });
}
