import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { startGarter, type Garter } from '../support/garter.ts';
import { run } from '../support/process.ts';
import { Command, request5 } from '../support/raw.ts';
import { addCable, addMachine, type Machine } from './machine.ts';

const INSIDE = '10.0.0.5';
/** Addresses that a client on the link can use, each with a private or loopback address inside. */
const FORGED = ['2002:a00:5::1', '64:ff9b::a00:5', '2002:7f00:1::1', '64:ff9b::7f00:1'];
const PREFIXES = ['2002:a00:5::', '64:ff9b::', '2002:7f00:1::'];
const METHOD = '\x05\x00';
/** RFC 1928 section 6. */
const [REFUSED_BY_RULE, REFUSED_THERE] = ['\x02', '\x05'];

suite('a client whose IPv6 address contains an IPv4 address', () => {
  const stack = new AsyncDisposableStack();
  let client: Machine;
  let proxy: Machine;
  before(async () => {
    client = stack.use(await addMachine('client'));
    proxy = stack.use(await addMachine('proxy'));
    await addCable(
      { at: client, addresses: [`${INSIDE}/24`, ...FORGED.map((address) => `${address}/64`)] },
      { at: proxy, addresses: ['10.0.0.1/24', ...PREFIXES.map((prefix) => `${prefix}ff/64`)] },
    );
  });
  after(() => stack.disposeAsync());

  /** The answer to a greeting and a CONNECT to a closed port of the client. */
  const ask = async (source: string, { port }: Garter): Promise<string> => {
    const host = source.includes(':') ? `${source.slice(0, source.indexOf('::'))}::ff` : '10.0.0.1';
    const input = Buffer.concat([Buffer.of(5, 1, 0), request5(Command.connect, INSIDE, 9)]).toString(
      'latin1',
    );
    const command = ['ncat', '-w', '5', '--source', source, host, String(port)];
    return (await run([...client.prefix, ...command], { input })).stdout;
  };

  for (const [where, config, forged] of [
    ['accept rules', 'accept: [{ name: inside, allow: true, from: [10.0.0.0/8, loopback] }]', /^$/],
    [
      'rules',
      `accept: [{ name: link, allow: true, from: [10.0.0.0/8, "2002::/16", "64:ff9b::/64"] }]
rules: [{ name: inside, allow: connect, to: [any], from: [10.0.0.0/8, loopback] }]`,
      new RegExp(`^${METHOD}\x05${REFUSED_BY_RULE}`),
    ],
    [
      'routes',
      `accept: [{ name: link, allow: true, from: [10.0.0.0/8, "2002::/16", "64:ff9b::/64"] }]
rules: [{ name: all, allow: connect, to: [any] }]
routes: [{ to: [any], from: [10.0.0.0/8, loopback], via: direct }]`,
      new RegExp(`^${METHOD}\x05${REFUSED_BY_RULE}`),
    ],
  ] as const) {
    test(`does not count as that address in ${where}`, async () => {
      await using garter = await startGarter({ host: '::', prefix: proxy.prefix, config });
      assert.ok((await ask(INSIDE, garter)).startsWith(`${METHOD}\x05${REFUSED_THERE}`));
      for (const source of FORGED) {
        assert.match(await ask(source, garter), forged, source);
      }
    });
  }
});
