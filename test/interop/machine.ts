import { check } from '../support/process.ts';

/** A machine for a test: a network namespace with a loopback, and with the cables that it is given. */
export interface Machine extends AsyncDisposable {
  readonly role: string;
  readonly namespace: string;
  /** Put in front of a command to run it there. */
  readonly prefix: readonly string[];
}

/** The role has at most 12 letters, as cables are named after it. */
export async function addMachine(role: string): Promise<Machine> {
  const namespace = `garter-${process.pid}-${role}`;
  const prefix = ['ip', 'netns', 'exec', namespace];
  await check(['ip', 'netns', 'add', namespace]);
  await check([...prefix, 'ip', 'link', 'set', 'lo', 'up']);
  return {
    role,
    namespace,
    prefix,
    [Symbol.asyncDispose]: async () => void (await check(['ip', 'netns', 'delete', namespace])),
  };
}

/** One end of a cable, with the addresses of its device: `10.77.1.2/24`. */
export interface CableEnd {
  readonly at: Machine;
  readonly addresses: readonly string[];
}

/** Connects two machines with a cable. */
export async function addCable(one: CableEnd, other: CableEnd): Promise<void> {
  const peer = ['type', 'veth', 'peer', deviceTo(one.at), 'netns', other.at.namespace];
  await check(['ip', 'link', 'add', deviceTo(other.at), 'netns', one.at.namespace, ...peer]);
  for (const [here, there] of [
    [one, other],
    [other, one],
  ] as const) {
    const device = deviceTo(there.at);
    for (const address of here.addresses) {
      const noWait = address.includes(':') ? ['nodad'] : [];
      await check([...here.at.prefix, 'ip', 'address', 'add', address, 'dev', device, ...noWait]);
    }
    await check([...here.at.prefix, 'ip', 'link', 'set', device, 'up']);
  }
}

/** The device of the cable to another machine. */
export function deviceTo({ role }: Pick<Machine, 'role'>): string {
  return `to-${role}`;
}

/** Routes this network to a neighbour. */
export async function addRoute(at: Machine, network: string, gateway: string): Promise<void> {
  await check([...at.prefix, 'ip', 'route', 'add', network, 'via', gateway]);
}

/** Sets kernel parameters of the machine's network, such as `net.ipv4.tcp_mtu_probing=1`. */
export async function tune(at: Machine, ...settings: readonly string[]): Promise<void> {
  await check([...at.prefix, 'sysctl', '-q', '-w', ...settings]);
}

/** Adds a table of nftables, `inet chaos`, with these chains and counters. */
export async function filter(at: Machine, table: string): Promise<void> {
  await check([...at.prefix, 'nft', '-f', '-'], { input: `table inet chaos {\n${table}\n}\n` });
}

/** The number of packets counted by a named counter. */
export async function packets(at: Machine, counter: string): Promise<number> {
  const text = await check([...at.prefix, 'nft', 'list', 'counter', 'inet', 'chaos', counter]);
  return Number(/packets (\d+)/.exec(text)?.[1]);
}

/**
 * Limits packets to one wire frame each, so that frames are lost or too big, not 64 KiB aggregated by the
 * kernel.
 */
export async function sendSingleFrames(at: Machine, to: Machine): Promise<void> {
  await check([...at.prefix, 'ip', 'link', 'set', deviceTo(to), 'gso_max_segs', '1']);
}
