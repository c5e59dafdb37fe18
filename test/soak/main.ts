import { createReadStream, existsSync } from 'node:fs';
import { rename, unlink, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { cert, key } from '../support/certificate.ts';
import { makeDirectory } from '../support/directory.ts';
import { garterCommand } from '../support/garter.ts';
import { check, start, until, type Daemon } from '../support/process.ts';
import { startFaulty } from '../support/faulty.ts';
import { startDatagramEcho, startEcho, startTarget } from '../support/targets.ts';
import { cpuTime, descriptors, memory } from '../support/usage.ts';
import type { Scene } from './scenarios.ts';

const HELP = `Usage: npm run soak -- [--connections N] [--for MINUTES] [--lanes N] [--tls]

Runs a garter with 500 descriptors under everything at once: all commands, resets in every phase, slow readers, slow
handshakes, junk, guesses, reloads every five seconds, rotated logs, and every half minute more clients than there are
descriptors. Ends after N connections (1000000) or so many minutes (60), whichever comes first. With --tls every client comes
over TLS. GARTER_ENGINE=portable takes the portable engine.

Prints a row every ten seconds; "sessions" are those that garter says are open. Exit status: 0 all was as it should be and memory is flat, 1 not.

Example: npm run soak -- --connections 100000
`;

const ROW = 10_000;
const RELOAD = 5000;
const CROWD = 30_000;
/** The network of the clients in a crowd. */
const CROWDED = '127.0.2.';
/** MiB that memory may grow per 100,000 connections, over the second half. */
const SLOPE = 4;
/** MiB of total growth that is ignored as noise in a short run. */
const NOISE = 16;

/** The expected ends of connections: by clients, rules, crowds, and time-outs that are provoked. */
const AS_IT_SHOULD =
  /^(client:|policy:|none:|admin:|limit:accept:connections$|limit:(greeting|auth|request):unauthenticated$|target:relay$|timeout:(accept|greeting|auth|request)$|timeout:relay:idle$)/;

const { values: flags } = parseArgs({
  options: {
    connections: { type: 'string', default: '1000000' },
    for: { type: 'string', default: '60' },
    lanes: { type: 'string', default: '48' },
    tls: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
if (flags.help) {
  console.log(HELP);
  process.exit(0);
}

interface Counts {
  readonly counts: Readonly<Record<string, number>>;
  readonly faults: readonly (readonly [fault: string, times: number])[];
}

await using stack = new AsyncDisposableStack();
const directory = stack.use(await makeDirectory()).path;
const [echo, revoked, source, datagramEcho] = [
  stack.use(await startEcho()),
  stack.use(await startEcho()),
  stack.use(await startTarget((socket) => socket.end(Buffer.alloc(1 << 20, 'x')))),
  stack.use(await startDatagramEcho()),
];
const late = stack.use(await startFaulty(echo, { late: [0, 10], piece: 1000 }));
const halfOpen = stack.use(await startFaulty(echo, { stallsAfter: 20_000 }));
const configFile = join(directory, 'garter.yaml');
const logFile = join(directory, 'garter.log');

async function configure(deny: boolean): Promise<void> {
  await writeFile(
    configFile,
    `listen:
  - address: 127.0.0.1:0
    methods: [none, password]
${flags.tls ? '    tls: { cert: cert.pem, key: key.pem }\n' : ''}\
users: { file: users.txt }
log: { level: info, format: json, to: { file: garter.log } }
timeouts: { handshake: 2s, half-close: 5s, drain: 1s }
rules:
  - { name: other, ${deny ? 'deny' : 'allow'}: any, to: [127.0.0.1], port: ${revoked.port} }
  - { name: half-open, allow: any, to: [127.0.0.1], port: ${halfOpen.port}, limit: { idle: 2s } }
  - { name: here, allow: any, to: [loopback] }
`,
  );
}

await writeFile(join(directory, 'cert.pem'), cert);
await writeFile(join(directory, 'key.pem'), key, { mode: 0o600 });
await configure(false);
await check([garterCommand, 'user', 'add', 'alice', '--file', join(directory, 'users.txt'), '--stdin'], {
  input: 'secret\n',
});
const garter: Daemon = stack.use(
  await start(['sh', '-c', `ulimit -n 500; exec ${garterCommand} serve --config ${configFile}`], {
    ready: /^garter listening on 127\.0\.0\.1:(\d+)$/m,
  }),
);
const proxy = { host: '127.0.0.1', port: Number(garter.ready[1]) };
const place = ({ host, port }: { host: string; port: number }): { host: string; port: number } => ({
  host,
  port,
});
const scene: Scene = {
  proxy,
  tls: flags.tls,
  echo: place(echo),
  revoked: place(revoked),
  source: place(source),
  late: place(late),
  halfOpen: place(halfOpen),
  datagramEcho: place(datagramEcho),
};
const loadFile = join(import.meta.dirname, 'load.ts');
const load = stack.use(
  await start([process.execPath, loadFile, JSON.stringify(scene), flags.lanes], { ready: /counts/ }),
);

/** The latest output of the load. */
function latest(): Counts {
  const lines = load.stdout().trimEnd().split('\n');
  const line = lines.findLast((one) => one.endsWith('}'));
  return JSON.parse(line ?? '{"counts":{},"faults":[]}') as Counts;
}

let records = 0;
const ends = new Map<string, number>();
/** The first records with an unexpected end. */
const odd: string[] = [];
let turnedAway = 0;
/** Connections without a request that gave way to others, outside crowds. */
let gaveWay = 0;

/** Counts the records in a finished log file, and removes it. */
async function harvest(file: string): Promise<void> {
  for await (const line of createInterface({ input: createReadStream(file) })) {
    const [, end] = /"end":"([^"]+)"/.exec(line) ?? [];
    if (end === undefined) continue;
    records++;
    ends.set(end, (ends.get(end) ?? 0) + 1);
    if (end.startsWith('limit:accept:')) turnedAway++;
    if (end.endsWith(':unauthenticated') && !line.includes(`"client":"${CROWDED}`)) gaveWay++;
    if (!AS_IT_SHOULD.test(end) && odd.length < 10) odd.push(line);
  }
  await unlink(file);
}

/** Changes the rules, rotates the log, and counts the records of the previous file. */
async function reload(deny: boolean): Promise<void> {
  await configure(deny);
  const left = join(directory, 'garter.log.1');
  if (existsSync(left)) await harvest(left);
  await rename(logFile, left);
  garter.signal('SIGHUP');
}

let crowded = 0;

/** For three seconds, opens more connections than garter has descriptors. */
async function crowd(): Promise<void> {
  const sockets: Socket[] = [];
  for (let i = 0; i < 500; i++) {
    const socket = connect({ ...proxy, localAddress: `${CROWDED}${1 + (i % 100)}` });
    socket.on('error', () => {}); // being turned away is expected
    sockets.push(socket);
    crowded++;
  }
  await delay(3000);
  for (const socket of sockets) socket.destroy();
}

/** The number of sockets on garter's port in a TCP state. */
async function inState(state: string): Promise<number> {
  const out = await check(['ss', '-Htn', 'state', state, `( sport = :${proxy.port} )`]);
  return out.split('\n').length - 1;
}

/** The output of garter when it lists its sessions. */
const SESSIONS = /^.*"event":"(?:session"|sessions","message":"open sessions","open":(\d+)).*\n/gm;

/** The number of open sessions. */
async function sessions(): Promise<number> {
  const before = garter.stderr().length;
  garter.signal('SIGUSR2');
  return until(
    () => {
      const said = Array.from(garter.stderr().slice(before).matchAll(SESSIONS), ([, count]) => count);
      const count = said.find((one) => one !== undefined);
      return count === undefined ? undefined : Number(count);
    },
    () => 'garter does not say how many sessions are open',
  );
}

const began = performance.now();
const atFirst = await descriptors(garter.pid);
const most = Number(flags.connections);
const deadline = began + Number(flags.for) * 60_000;
const samples: { readonly visits: number; readonly rss: number }[] = [];
let cpu = await cpuTime(garter.pid);
let [reloadAt, crowdAt, rowAt, deny] = [began + RELOAD, began + CROWD, began + ROW, false];
let crowds = Promise.resolve();
let [visitsBefore, rows] = [0, 0];
console.log(
  '  min  connections     /s   MiB   fds  sessions   CPU  CLOSE-WAIT  FIN-WAIT-2  turned away  faults',
);

while (performance.now() < deadline && (latest().counts['visits'] ?? 0) < most) {
  await delay(200);
  const now = performance.now();
  if (now >= reloadAt) {
    deny = !deny;
    await reload(deny);
    reloadAt = now + RELOAD;
  }
  if (now >= crowdAt) {
    crowds = crowd();
    crowdAt = now + CROWD;
  }
  if (now < rowAt) continue;
  const { counts, faults } = latest();
  const visits = counts['visits'] ?? 0;
  const [rss, fds, used] = [
    await memory(garter.pid),
    await descriptors(garter.pid),
    await cpuTime(garter.pid),
  ];
  const seconds = (now - rowAt + ROW) / 1000;
  console.log(
    [
      ((now - began) / 60_000).toFixed(1).padStart(5),
      String(visits).padStart(12),
      String(Math.round((visits - visitsBefore) / seconds)).padStart(6),
      String(rss).padStart(5),
      String(fds).padStart(5),
      String(await sessions()).padStart(9),
      `${Math.round((used - cpu) / 10 / seconds)}%`.padStart(5),
      String(await inState('close-wait')).padStart(11),
      String(await inState('fin-wait-2')).padStart(11),
      String(turnedAway).padStart(12),
      String(faults.reduce((sum, [, times]) => sum + times, 0)).padStart(7),
    ].join(' '),
  );
  samples.push({ visits, rss });
  [visitsBefore, cpu, rowAt] = [visits, used, now + ROW];
  rows++;
}

await crowds;
load.signal('SIGTERM');
await load.ended();
const complaints: string[] = [];
let left = 0;
await until(async () => (left = (await descriptors(garter.pid)) - atFirst) <= 0).catch(() =>
  complaints.push(`${left} descriptors are left`),
);
garter.signal('SIGTERM');
const code = await garter.ended();
if (code !== 0) complaints.push(`garter ended with ${code}`);
const said = garter.stderr().replaceAll(SESSIONS, '');
if (said !== '') complaints.push(`garter said: ${said.slice(0, 1000)}`);
for (const file of [join(directory, 'garter.log.1'), logFile]) if (existsSync(file)) await harvest(file);

const { counts, faults } = latest();
const visits = counts['visits'] ?? 0;
// A connection that its client resets at once can be gone before it is accepted, and then has no record.
const connections = visits + crowded;
const unseen = connections - records;
if (unseen < 0 || unseen > (counts['reset'] ?? 0) + crowded / 10)
  complaints.push(`${connections} connections, but ${records} records`);
if ((counts['gaveWay'] ?? 0) > gaveWay)
  complaints.push(`${counts['gaveWay']} cut off in their handshake, but ${gaveWay} gave way`);
for (const record of odd) complaints.push(`a connection ended oddly: ${record}`);
for (const [fault, times] of faults) complaints.push(`${times} times ${fault}`);
const half = samples.slice(Math.floor(rows / 2));
const slope = slopeOf(half);
const growth = (slope * ((half.at(-1)?.visits ?? 0) - (half[0]?.visits ?? 0))) / 100_000;
if (slope > SLOPE && growth > NOISE)
  complaints.push(`memory grows by ${slope.toFixed(1)} MiB with each 100,000 connections`);

console.log(`
${connections} connections in ${((performance.now() - began) / 60_000).toFixed(1)} minutes, ${records} records, ${turnedAway} turned away
${Object.entries(counts)
  .map(([name, count]) => `${name} ${count}`)
  .join(', ')}
${[...ends]
  .map(([end, count]) => `${end} ${count}`)
  .toSorted()
  .join(', ')}
memory: ${slope.toFixed(2)} MiB with each 100,000 connections over the second half
${complaints.length === 0 ? 'all as it should be' : complaints.map((complaint) => `NOT: ${complaint}`).join('\n')}`);
await stack.disposeAsync();
process.exit(complaints.length === 0 ? 0 : 1);

/** Least squares: MiB per 100,000 connections. */
function slopeOf(points: readonly { readonly visits: number; readonly rss: number }[]): number {
  if (points.length < 2) return 0;
  const mean = (of: (point: { visits: number; rss: number }) => number): number =>
    points.reduce((sum, point) => sum + of(point), 0) / points.length;
  const [x, y] = [mean(({ visits: count }) => count), mean(({ rss }) => rss)];
  const across = mean(({ visits: count, rss }) => (count - x) * (rss - y));
  const along = mean(({ visits: count }) => (count - x) ** 2);
  return along === 0 ? 0 : (across / along) * 100_000;
}
