import type { End } from '../audit/record.ts';
import type { Connection } from '../net/engine.ts';
import { accept } from '../policy/accept.ts';
import type { Command, Method } from '../policy/policy.ts';
import type { AnswerHttp } from '../handshake/foreign.ts';
import type { RequestEvent } from '../handshake/protocol.ts';
import { ServerHandshake } from '../handshake/server.ts';
import { Command as CommandCode, Reply } from '../wire/socks5.ts';
import { methodsFor } from './admission.ts';
import { associate } from './udp/associate.ts';
import { readProxyHeader } from './listen/proxy-header.ts';
import { bind } from './commands/bind.ts';
import { destinationOf } from './destination.ts';
import { Failure } from './failure.ts';
import { receiveRequest } from './handshake.ts';
import { answerQuery } from './commands/resolve.ts';
import { answerPac } from './pac.ts';
import { acquireLimits, authorize } from './session/authorize.ts';
import { DialledGrant } from './session/grant.ts';
import { confirm } from './session/recheck.ts';
import { relay } from './session/relay.ts';
import type { Session } from './session/session.ts';
import type { OpenListener } from './listen/listeners.ts';
import type { Counting, Deciding, Relaying, ServerState } from './session/state.ts';
import { secure } from './tls-handshake.ts';

/** Milliseconds for which a refused client may take to read its reply; RFC 1928 section 6 allows 10 s. */
const LINGER = 2000;

/** The course of one connection, from accept to record. Never rejects. */
export async function serve(client: Connection, listener: OpenListener, state: ServerState): Promise<void> {
  const session = state.sessions.open(client, listener);
  watchClient(session);
  const handshake = handshakeOf(session, state);
  const deadline = setTimeout(
    () => session.stop(new Failure('timeout', session.phase)),
    state.timeouts.handshake,
  );
  let end: End | undefined;
  try {
    // accept
    checkInterface(session);
    if (listener.balancers?.has(session.ip, state.ports) === true) await expectProxyHeader(session);
    const methods = checkAccept(session, state);
    // session and identify
    if (listener.tls !== undefined) {
      await secure(session, listener.tls, methods, state);
      watchClient(session);
    }
    const request = await receiveRequest(session, handshake, methods, state);
    clearTimeout(deadline);
    state.connections.stopsWaiting(session);
    // decide, route, dial and relay
    end = await runCommand(session, handshake, request, state);
  } catch (error) {
    const failure = session.failure ?? Failure.from(error, session.phase);
    if (failure.isBug) state.log.error('connection-failed', { id: session.id, error: stackOf(failure) });
    const refusal = handshake.refuse(failure.reply);
    if (refusal !== undefined) session.client.write(refusal);
    end = failure;
  }
  clearTimeout(deadline);
  state.connections.stopsWaiting(session);
  // record
  if (end === undefined) return;
  if (end.phase === 'accept') session.client.destroy();
  // A session that was stopped no longer has a connection.
  if (end.phase === 'accept' || session.failure !== undefined) state.sessions.close(session, end);
  else await state.sessions.closeWhen(session.client.closeGracefully(LINGER), session, end);
}

function watchClient(session: Session): void {
  session.client.onLost((error) => {
    if (error !== undefined) session.stop(Failure.ofClient(error, session.phase));
    else session.clientEnds();
  });
}

function handshakeOf(session: Session, { outbound }: Pick<ServerState, 'outbound'>): ServerHandshake {
  const { protocols, pac } = session.listener;
  if (pac !== true) return new ServerHandshake({ protocols });
  const answerHttp: AnswerHttp = (request) =>
    answerPac(request, session.remote.host, session.local, outbound.routes);
  return new ServerHandshake({ protocols, answerHttp });
}

function checkInterface({ client, listener }: Session): void {
  if (listener.interface !== undefined && !client.cameBy(listener.interface))
    throw Failure.refusal('interface', 'accept');
}

/** Replaces the balancer's address by the client's; a balancer may also connect on its own behalf. */
async function expectProxyHeader(session: Session): Promise<void> {
  const { addresses } = await readProxyHeader(session.client);
  if (addresses !== undefined) session.applyProxyHeader(addresses.source);
}

/** Checks the client's address before any of its bytes is read; returns the methods open to it. */
function checkAccept(
  session: Session,
  state: Pick<ServerState, 'connections' | 'policy' | 'ports' | 'sessions'>,
): readonly Method[] {
  const methods = methodsFor(accept(state.policy, session.origin, state.ports), session.listener);
  state.connections.enter(session, state.sessions.size);
  return methods;
}

function stackOf({ cause, message }: Failure): string {
  return cause instanceof Error ? (cause.stack ?? cause.message) : message;
}

/**
 * While a connection is relayed, for most of its life, nothing is awaited: the result is then `undefined`.
 */
function runCommand(
  session: Session,
  handshake: ServerHandshake,
  request: RequestEvent,
  state: ServerState,
): Promise<End | undefined> {
  const { protocol, destination } = request;
  const command = commandOf(request);
  session.requestReceived(protocol, command ?? String(request.command), destination, request.userId);
  switch (command) {
    case 'connect':
      return connect(session, handshake, request, state);
    case 'bind':
      return bind(session, handshake, request, state);
    case 'udp':
      return associate(session, handshake, request, state);
    case 'resolve':
      return answerQuery(session, handshake, request, state);
    case undefined:
      throw new Failure('client', 'request', 'command', Reply.commandNotSupported);
    default:
      return command satisfies never;
  }
}

/** The command's name in rules. SOCKS4 has no UDP, and no room for a name in its reply. */
function commandOf({ command, protocol }: RequestEvent): Command | undefined {
  switch (command) {
    case CommandCode.connect:
      return 'connect';
    case CommandCode.bind:
      return 'bind';
    case CommandCode.udpAssociate:
      return protocol === 'socks4' ? undefined : 'udp';
    case CommandCode.resolvePtr:
      return protocol === 'socks4' ? undefined : 'resolve';
    case CommandCode.resolve:
      return 'resolve';
    default:
      return undefined;
  }
}

async function connect(
  session: Session,
  handshake: ServerHandshake,
  request: RequestEvent,
  state: Deciding & Counting & Relaying & Pick<ServerState, 'authenticator'>,
): Promise<undefined> {
  const { client } = session;
  const deadline = performance.now() + state.timeouts.connect;

  // decide
  const destination = destinationOf(request.destination);
  const routed = await authorize(session, 'connect', destination, state);
  acquireLimits(session, 'connect', destination, routed.permit, state);

  // route and dial
  session.enters('dial');
  const { connection: target, bound, address } = await state.outbound.connect(routed, session, deadline);
  session.dialled(bound, address, new DialledGrant(request.destination, address));
  try {
    confirm(session, state);
  } catch (error) {
    target.destroy();
    throw error;
  }

  // relay
  client.write(handshake.reply(Reply.succeeded, bound));
  relay(session, handshake, target, routed.permit, state);
}
