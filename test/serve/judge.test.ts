import assert from 'node:assert/strict';
import type { AddressInfo } from 'node:net';
import { mock, test } from 'node:test';
import fc from 'fast-check';
import { outcomeOf } from '../../src/admin/explain/outcome.ts';
import type { Outcome } from '../../src/admin/explain/outcome.ts';
import type { Question } from '../../src/admin/explain/question.ts';
import type { Command, Protocol } from '../../src/policy/policy.ts';
import type { ServerConfig } from '../../src/server.ts';
import { formatAddress } from '../../src/wire/address.ts';
import type { Endpoint } from '../../src/wire/address.ts';
import { encodeHttpReply } from '../../src/wire/http.ts';
import { ipOf } from '../../src/wire/ip.ts';
import { Socks4Result } from '../../src/wire/socks4.ts';
import { Reply } from '../../src/wire/socks5.ts';
import { ask, dial, isUnspecified, Records } from '../judge/ask.ts';
import type { Heard, Request } from '../judge/ask.ts';
import { scene } from '../judge/draw.ts';
import type { Drawn, Scene } from '../judge/draw.ts';
import { HOSTS, startServer, startWorld, USERS } from '../judge/world.ts';
import type { Running, World } from '../judge/world.ts';
import type { RawClient } from '../support/raw.ts';
import { sized } from '../support/size.ts';

const ENGINE = (process.env.GARTER_ENGINE ?? 'auto') as ServerConfig['engine'];

test('garter check and garter explain predict what the server does', async (t) => {
  await using world = await startWorld(ENGINE);
  // Rules have hours, and users expire.
  mock.timers.enable({ apis: ['Date'] });
  t.after(() => mock.timers.reset());
  const counts = new Map<string, number>();
  const property = fc.asyncProperty(scene(world, ENGINE), async ({ config, requests }: Scene) => {
    const records = new Records();
    const running = await startServer(config, { onRecord: records.take });
    await using _ = running.server;
    for (const drawn of requests) {
      mock.timers.setTime(drawn.time);
      const said = await compare(drawn, running, records, world);
      counts.set(said, (counts.get(said) ?? 0) + 1);
    }
  });
  // With about ten requests each.
  await fc.assert(property, { numRuns: sized(2200, 36) });
  const all = [...counts.values()].reduce((sum, count) => sum + count, 0);
  const each = [...counts].map(([said, count]) => `${said} ${count}`).toSorted();
  t.diagnostic(`${all} questions: ${each.join(', ')}`);
});

/** Asks both; returns the prediction of `garter check` if they agree. */
async function compare(
  drawn: Drawn,
  running: Running,
  records: Records,
  { ports, closed }: World,
): Promise<string> {
  const { listeners, health } = running.settings;
  const listener = listeners[drawn.listener]!.address as Endpoint;
  const own = { listener: listener.port, health: health?.port ?? closed };
  const request = { ...drawn, port: typeof drawn.port === 'number' ? drawn.port : own[drawn.port] };
  const { command, host, port } = request;
  using client = await dial(listener, request);
  const users = running.settings.users === undefined ? [] : USERS;
  const question = questionFor(request, client, listener);
  const outcome = await outcomeOf(running.settings, users, question);
  // garter explain asks the server itself.
  const { server, settings } = running;
  const user = server.userNamed(question.user ?? '');
  const explained = await outcomeOf(settings, user ? [user] : [], question, server.basis);
  assert.equal(explained.text, outcome.text);
  const isThere = command === 'bind' || command === 'resolve' || ports.includes(port);
  const isSure = isThere && !HOSTS.uncertain.includes(host) && !mayLackRoom(request, outcome);
  // A datagram that is lost behind an upstream leaves no trace.
  const sends = command === 'udp' && !isUnspecified(host) && (isSure || outcome.dropped);
  const heard = await ask(client, request, sends, running, records);
  const fault = difference(outcome, heard, request, { isSure, sends });
  if (fault !== undefined)
    assert.fail([fault, JSON.stringify(request), outcome.text, JSON.stringify(heard)].join('\n'));
  if (!outcome.allowed) return `${command} refused`;
  return `${command} allowed${isSure ? '' : ', perhaps in vain'}`;
}

/**
 * SOCKS4 can only carry IPv4 in replies to BIND and RESOLVE, both between client and server and from an
 * upstream; and only the last server knows the addresses of a name that is passed on.
 */
function mayLackRoom({ command }: Request, { text }: Outcome): boolean {
  return command !== 'connect' && text.includes(', which resolves the name') && text.includes('socks4');
}

/** The same request as a question for `garter check`. */
function questionFor(
  { user, offersNone, protocol, command, host, port, time }: Request,
  client: RawClient,
  listener: Endpoint,
): Question {
  const from = client.socket.address() as AddressInfo;
  return {
    client: { ip: ipOf(from.address)!, port: from.port },
    destination: { host, port },
    command,
    protocol,
    user: user ?? undefined,
    methods: user === null ? ['none'] : offersNone ? ['certificate', 'password', 'none'] : ['password'],
    time,
    listener: formatAddress(listener),
    addresses: [],
  };
}

/** A difference between the two. `isSure`: an allowed request succeeds; otherwise it can fail later. */
function difference(
  { reply, end, dropped, text }: Outcome,
  { reply: heard, answered, record }: Heard,
  { command, protocol }: Request,
  { isSure, sends }: { readonly isSure: boolean; readonly sends: boolean },
): string | undefined {
  if (reply !== Reply.succeeded) {
    // It may repeat the wrong password of an earlier question.
    if (record.end?.replace('wrong-again', 'wrong') !== end)
      return `the record's end is ${record.end}, not ${end}`;
    const isSame = reply === undefined ? isRefusal(protocol, heard) : heard === codeIn(protocol, reply);
    return isSame ? undefined : `the reply is ${heard}`;
  }
  if (end !== undefined) return 'there is a success, and its end';
  if (heard !== codeIn(protocol, reply)) {
    if (!isSure && FAILED[command].test(record.end!)) return undefined;
    return `the reply is ${heard}, and the record's end ${record.end}`;
  }
  if (!WELL[command].test(record.end!)) return `the record's end is ${record.end}`;
  const rule = /^ {2}rule {6}(.*)$/m.exec(text)?.[1];
  // The rule of an association can differ from that of a datagram.
  if (command !== 'udp' && record.rule !== rule) return `the rule is ${record.rule}`;
  if (!sends || answered !== dropped) return undefined;
  return answered ? 'the datagram has come back' : `the datagram is dropped: ${record.dropped}`;
}

/** The ends of allowed requests that fail. */
const FAILED: Readonly<Record<Command, RegExp>> = {
  connect: /^\w+:dial:/,
  bind: /^\w+:bind:/,
  udp: /^never$/,
  resolve: /^\w+:resolve:/,
};

/** The ends of successful requests, when the client disconnects. */
const WELL: Readonly<Record<Command, RegExp>> = {
  connect: /^(client|target):relay/,
  bind: /^client:bind$/,
  udp: /^client:relay/,
  resolve: /^none:resolve$/,
};

/**
 * `garter check` predicts no reply for requests that are refused unread. SOCKS4 and HTTP, which begin with
 * the request, get a refusal in any case.
 */
function isRefusal(protocol: Protocol, code: number | undefined): boolean {
  if (protocol === 'socks5' || code === undefined) return code === undefined;
  return protocol === 'socks4' ? code === Socks4Result.rejected : code >= 400;
}

function codeIn(protocol: Protocol, reply: Reply): number {
  if (protocol === 'socks5') return reply;
  if (protocol === 'socks4') return reply === Reply.succeeded ? Socks4Result.granted : Socks4Result.rejected;
  return Number(Buffer.from(encodeHttpReply(reply)).toString().slice(9, 12));
}
