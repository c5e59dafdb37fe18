import type { Connection, Endpoint } from '../../../src/net/engine.ts';
import { compile } from '../../../src/policy/compile.ts';
import type { RuleOptions } from '../../../src/policy/policy.ts';
import { ResolveError } from '../../../src/resolve/error.ts';
import { Association } from '../../../src/server/association.ts';
import { Bandwidths } from '../../../src/server/bandwidths.ts';
import { OwnPorts } from '../../../src/server/own-ports.ts';
import { Session } from '../../../src/server/sessions.ts';
import type { ListenerSettings } from '../../../src/server/settings.ts';
import type { ServerState } from '../../../src/server/state.ts';
import { addressOf } from '../../../src/wire/address.ts';
import { WireError } from '../../../src/wire/error.ts';
import { formatIp, parseIp } from '../../../src/wire/ip.ts';
import type { Ip } from '../../../src/wire/ip.ts';
import { decodeUdpHeader, encodeUdpHeader } from '../../../src/wire/udp.ts';
import { Draw } from '../draw.ts';
import { MemoryEngine } from '../memory-engine.ts';
import type { MemorySocket, SentDatagram } from '../memory-engine.ts';
import { hex, keeps, same } from '../target.ts';
import type { Target } from '../target.ts';

const CLIENT = '198.51.100.7';
const RELAY = '192.0.2.9';
const RULE: Pick<RuleOptions, 'action' | 'log' | 'revoke'> = { action: 'allow', log: [], revoke: 'close' };
/** What the rules allow: 203.0.113.0/24 and 2001:db8::/32 from port 1000 on, but neither .13 nor names in .internal. */
const SOME = compile({
  rules: [
    { ...RULE, name: 'no', action: 'deny', to: ['203.0.113.13', '.internal'] },
    { ...RULE, name: 'some', to: ['203.0.113.0/24', '2001:db8::/32'], port: [{ first: 1000, last: 65_535 }] },
  ],
});
const NOTHING = compile({ rules: [] });

const HOSTS: Readonly<Record<string, string>> = {
  'a.test': '203.0.113.1',
  'b.test': '2001:db8::1',
  'denied.test': '203.0.113.13',
  'secret.internal': '203.0.113.1',
  'loopback.test': '127.0.0.1',
};
const DESTINATIONS = [
  ...[
    '203.0.113.1',
    '203.0.113.2',
    '203.0.113.13',
    '2001:db8::1',
    '::ffff:203.0.113.2',
    '::ffff:203.0.113.13',
  ],
  ...[
    '127.0.0.1',
    '169.254.169.254',
    RELAY,
    CLIENT,
    '0.0.0.0',
    'A.Test',
    'nowhere.test',
    ...Object.keys(HOSTS),
  ],
];
const PORTS = [1000, 1001, 53, 0, 40_000];

/** One run: an association, what was done to it, and what has to come of it. */
class Scene {
  readonly engine: MemoryEngine = new MemoryEngine();
  readonly ports: OwnPorts;
  readonly session: Session;
  readonly state: ServerState;
  readonly replies: 'peers' | 'any';
  /** Where the client sends from; 0 = it is not known yet. */
  clientPort: number;
  fromClient = 0;
  fragments = 0;
  /** Data of whole datagrams, by hexadecimal digits. */
  readonly data: Map<string, number> = new Map();
  readonly written: Set<string> = new Set();

  constructor(draw: Draw, ports: OwnPorts) {
    this.ports = ports;
    this.replies = draw.pick(['peers', 'any'] as const);
    this.clientPort = draw.pick([0, 5000]);
    this.state = {
      engine: this.engine,
      ports,
      bandwidths: new Bandwidths(),
      log: { debug: () => undefined },
      policy: SOME,
      decisions: 0,
      resolver: { resolve },
      decide: undefined,
    } as unknown as ServerState;
    const connection = { local: { host: RELAY, port: 1080 }, remote: { host: CLIENT, port: 4999 } };
    const settings = { udp: { advertise: [], replies: this.replies } } as unknown as ListenerSettings;
    this.session = new Session('1', connection as Connection, {
      settings,
      place: '',
      balancers: undefined,
      local: connection.local,
      close: () => Promise.resolve(),
    });
  }

  get inside(): MemorySocket {
    return this.engine.sockets[0]!;
  }
}

const shared: { ports?: OwnPorts } = {};

export const targets: readonly Target[] = [
  {
    name: 'association',
    seeds: [
      '00 00 00 00 00 00 03 616263 04 05 00 00 00 02 6869 04',
      '01 01 00 01 00 01 02 6162 04 00 03 02 01 01 61 06 04 05 01 00 00 02 6869',
      '00 00 00 0b 00 01 01 61 00 0b 00 82 01 62 04 01 0a 0000 00 01 cb007101 03e8 04 07 04',
      '00 00 02 0000 03 616161 03 09 00 00 00 01 61 04 08 00 01 00 00 01 61 04',
    ].map(hex),
    tokens: ['00000001cb00710103e8', '0000000306612e7465737403e8', '0000000420010db8'].map(hex),
    async run(input) {
      const draw = new Draw(input);
      // It reads the addresses of the machine, which takes longer than a run.
      shared.ports ??= new OwnPorts();
      const scene = new Scene(draw, shared.ports);
      const rule = { ...RULE, name: 'granted', to: ['any'] };
      const association = await Association.open(scene.session, scene.clientPort, rule, scene.state);
      try {
        for (let i = 0; i < 100 && !draw.isOver; i++) await step(scene, draw);
        await settled();
        check(scene, association);
      } finally {
        association.close();
        await settled();
      }
      checkEnd(scene, association);
      const reasons = Object.entries(association.counts).flatMap(([reason, count]) =>
        count > 0 ? [reason] : [],
      );
      return [...reasons, scene.engine.sockets.length, association.received > 0].join(' ');
    },
  },
];

async function step(scene: Scene, draw: Draw): Promise<void> {
  const kind = draw.below(8);
  const { engine, state } = scene;
  if (kind <= 1) {
    const data = draw.bytes(draw.below(64));
    const datagram = kind === 0 ? headed(draw, data) : data;
    hear(scene, datagram, { host: CLIENT, port: draw.pick([5000, 5000, 5001]) });
  }
  if (kind === 2) {
    const before = engine.sent.length;
    scene.inside.deliver(draw.bytes(draw.below(64)), {
      host: draw.pick(['198.51.100.8', '::1']),
      port: 5000,
    });
    scene.fromClient++;
    same('a stranger is not heard', engine.sent.length, before);
  }
  if (kind === 3) {
    engine.isExhausted = draw.chance();
  }
  if (kind === 4) await settled();
  if (kind === 5) answer(scene, draw);
  if (kind === 6) {
    await settled();
    checkSent(scene);
    state.policy = state.policy === SOME ? NOTHING : SOME;
    state.decisions++;
  }
  if (kind === 7)
    for (let i = draw.below(16); i >= 0; i--)
      hear(scene, headed(draw, Uint8Array.of(i)), { host: CLIENT, port: 5000 });
  checkSent(scene);
}

/** A datagram as a client sends it. */
function headed(draw: Draw, data: Uint8Array): Uint8Array {
  const address = addressOf(draw.pick(DESTINATIONS), draw.pick(PORTS));
  const fragment = draw.pick([0, 0, 0, 0, 1, 2, 0x82, 0x81]);
  return Buffer.concat([encodeUdpHeader({ fragment, address }), data]);
}

/** A datagram comes from the client's address; notes what it should lead to. */
function hear(scene: Scene, datagram: Uint8Array, from: Endpoint): void {
  scene.fromClient++;
  if (scene.clientPort === 0 || scene.clientPort === from.port) {
    const header = readHeader(datagram);
    if (header !== undefined) {
      scene.clientPort = from.port;
      if (header.value.fragment === 0) count(scene.data, textOf(datagram.subarray(header.size)), 1);
      else scene.fragments++;
    }
  }
  scene.inside.deliver(datagram, from);
}

/** A datagram comes to a socket on the side of the destinations. */
function answer(scene: Scene, draw: Draw): void {
  const sockets = scene.engine.sockets.slice(1);
  const from = {
    host: draw.pick(['203.0.113.1', '203.0.113.2', '2001:db8::1', '203.0.113.99']),
    port: draw.pick(PORTS),
  };
  const data = draw.bytes(draw.below(64));
  const family = from.host.includes(':') ? '::' : '0.0.0.0';
  const socket = sockets.find(({ local }) => local.host === family);
  if (socket === undefined) return;
  checkSent(scene);
  const before = scene.engine.sent.length;
  socket.deliver(data, from);
  const sent = scene.engine.sent.slice(before);
  const isAsked = scene.written.has(`${from.host} ${from.port}`);
  if (sent.length === 0) return;
  keeps('only who was written to may answer', isAsked || scene.replies === 'any', () => from.host);
  same('an answer is one datagram', sent.length, 1);
  const { data: bytes } = sent[0]!;
  const header = readHeader(bytes);
  same('an answer says who sent it', header?.value, {
    fragment: 0,
    address: addressOf(from.host, from.port),
  });
  same('an answer is passed on whole', textOf(bytes.subarray(header!.size)), textOf(data));
}

/** Looks at everything that was sent since the last time. */
function checkSent(scene: Scene): void {
  for (const one of scene.engine.sent.splice(0)) {
    if (one.from === scene.inside) {
      keeps(
        'only the client is answered',
        one.to.host === CLIENT && one.to.port === scene.clientPort,
        () => one.to.key,
      );
    } else checkOutgoing(scene, one);
  }
}

function checkOutgoing(scene: Scene, { from, to, data }: SentDatagram): void {
  const ip = parseIp(to.host)!;
  keeps(
    'nothing goes where no rule allows it',
    scene.state.policy === SOME && isAllowed(ip, to.port),
    () => to.key,
  );
  same('a socket is of the family it sends to', from.local.host, ip.family === 4 ? '0.0.0.0' : '::');
  scene.written.add(to.key);
  const key = textOf(data);
  if ((scene.data.get(key) ?? 0) > 0) count(scene.data, key, -1);
  else keeps('what is sent on is what the client sent', scene.fragments > 0, () => key);
}

function isAllowed(ip: Ip, port: number): boolean {
  const host = formatIp(ip);
  if (host === '203.0.113.13' || port < 1000) return false;
  return host.startsWith('203.0.113.') || host.startsWith('2001:db8:');
}

function check(scene: Scene, association: Association): void {
  checkSent(scene);
  same('no datagram ends a session', scene.session.failure, undefined);
  const { stranger, malformed, refused, overflow } = association.counts;
  const dropped = stranger + malformed + refused + overflow;
  keeps(
    'what is dropped is counted, and counted once',
    dropped <= scene.fromClient,
    () => `${dropped} of ${scene.fromClient}`,
  );
}

function checkEnd({ engine, ports, inside }: Scene, association: Association): void {
  const { sent, received } = association;
  for (const socket of engine.sockets.slice(1))
    socket.deliver(Uint8Array.of(1), { host: '203.0.113.1', port: 1000 });
  inside.deliver(Uint8Array.of(0, 0, 0, 1), { host: CLIENT, port: 5000 });
  same('nothing passes after the end', [association.sent, association.received], [sent, received]);
  keeps('its port is free again', !ports.isOwnPort(parseIp(RELAY)!, inside.local.port, 'udp'));
}

async function resolve(name: string): Promise<Ip[]> {
  const ip = parseIp(HOSTS[name] ?? '');
  if (ip === undefined) throw new ResolveError('ENOTFOUND', name);
  return [ip];
}

function readHeader(datagram: Uint8Array): ReturnType<typeof decodeUdpHeader> {
  try {
    return decodeUdpHeader(datagram);
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}

/** Resolves when all decisions are made. */
function settled(): Promise<void> {
  return new Promise((done) => setImmediate(done));
}

function textOf(data: Uint8Array): string {
  return Buffer.from(data).toString('hex');
}

function count(counts: Map<string, number>, key: string, by: number): void {
  counts.set(key, (counts.get(key) ?? 0) + by);
}
