import type { End } from '../../audit/record.ts';
import type { Connection } from '../../net/engine.ts';
import { DIRECT } from '../../route/routes.ts';
import type { RequestEvent } from '../../handshake/protocol.ts';
import type { ServerHandshake } from '../../handshake/server.ts';
import type { Address } from '../../wire/address.ts';
import { parseIp, sameIp, unmapped } from '../../wire/ip.ts';
import { Reply } from '../../wire/socks5.ts';
import { checkDeclaredPort } from '../admission.ts';
import { advertisedAt } from '../listen/advertise.ts';
import { Association } from './association.ts';
import { ClientPort } from './client-port.ts';
import { isUnspecified } from '../destination.ts';
import { Failure } from '../failure.ts';
import { admitSome, authorize } from '../session/authorize.ts';
import type { Session } from '../session/session.ts';
import type { Associating } from '../session/state.ts';

/** Meaningless bytes that a client may send after its request. */
const MEANINGLESS = 256;

/**
 * UDP ASSOCIATE (RFC 1928 section 7): the association lives as long as its TCP connection. Further bytes
 * there mean nothing; a few are tolerated.
 */
export async function associate(
  session: Session,
  handshake: ServerHandshake,
  request: RequestEvent,
  state: Associating,
): Promise<End> {
  const { client } = session;
  const clientPort = clientPortOf(session, request.destination);
  const { permit } = await authorize(session, 'udp', undefined, state);
  admitSome(session, 'udp', permit);

  session.enters('bind');
  if (state.outbound.routes.areSame) session.goesBy(DIRECT.label);
  const association = await Association.open(session, clientPort, state);
  try {
    const { local } = association;
    session.bindsAt(local);
    const advertised = await advertisedAt(local, session, session.listener.udp.advertise, state);
    session.enters('relay');
    client.write(handshake.reply(Reply.succeeded, advertised));
    await untilEnded(client, handshake.trailing().length);
    return { by: 'client', phase: 'relay' };
  } finally {
    association.close();
    state.log.debug('association', { id: session.id, ...association.counts });
  }
}

/**
 * How far to trust the declared source of datagrams. Behind NAT the client cannot know it: its port may be
 * translated on the way, unless it has declared the address that we see. The address itself does not matter.
 */
function clientPortOf({ ip, listener }: Session, declared: Address): ClientPort {
  const { port } = declared;
  checkDeclaredPort(listener.udp, port);
  if (listener.udp.declaredPort === 'require') return new ClientPort(port, true);
  if (isUnspecified(declared)) return new ClientPort(port, false);
  const address = parseIp(declared.host);
  const isOwn = address !== undefined && sameIp(unmapped(address), ip);
  return new ClientPort(isOwn ? port : 0, isOwn, port);
}

/**
 * Reads and discards. A client has little reason to send anything here: a flood is meant for something else.
 */
async function untilEnded(client: Connection, sent: number): Promise<void> {
  try {
    let bytes: Uint8Array | undefined;
    for (let size = sent; ; size += bytes.length) {
      if (size > MEANINGLESS) throw new Failure('client', 'relay', 'data');
      bytes = await client.read();
      if (bytes === undefined) return;
    }
  } catch (error) {
    throw error instanceof Failure ? error : Failure.ofClient(error, 'relay');
  }
}
