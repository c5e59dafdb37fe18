import { decode } from 'dns-packet';
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createSecureServer as createHttpServer } from 'node:http2';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import { createServer as createTlsServer } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import type { Endpoint } from '../../src/wire/address.ts';
import { cert, key } from './certificate.ts';
import type { Asked, Script } from './name-server.ts';

/** A name server on a port of 127.0.0.1 with a certificate for `localhost`. */
export interface EncryptedNameServer extends AsyncDisposable {
  readonly endpoint: Endpoint;
  readonly asked: readonly Asked[];
  /** The number of connections so far. */
  readonly connections: number;
  /** Those still open. */
  readonly open: ReadonlySet<TLSSocket>;
}

/** DNS over TLS. Each answer is sent when it is ready, in any order. */
export function startTlsNameServer(script: Script): Promise<EncryptedNameServer> {
  const asked: Asked[] = [];
  const server = createTlsServer({ cert, key, ALPNProtocols: ['dot'] }, (socket) => {
    let received = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
        const end = 2 + received.readUInt16BE(0);
        void answer(received.subarray(2, end), socket);
        received = received.subarray(end);
      }
    });
  });
  const answer = async (bytes: Buffer, socket: TLSSocket): Promise<void> => {
    for (const message of await script(note(bytes, asked, socket))) {
      const length = Buffer.from([message.length >>> 8, message.length & 255]);
      socket.write(Buffer.concat([length, message]));
    }
  };
  return started(server, asked);
}

/** DNS over HTTPS, at /dns-query. An empty answer from the script is an HTTP error. */
export function startHttpsNameServer(script: Script): Promise<EncryptedNameServer> {
  const asked: Asked[] = [];
  const answer = async (request: Http2ServerRequest, response: Http2ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    assert.equal(request.method, 'POST');
    assert.equal(request.headers['content-type'], 'application/dns-message');
    const [message] = await script(note(Buffer.concat(chunks), asked, request.socket as TLSSocket));
    const isThere = message !== undefined && request.url === '/dns-query';
    response.writeHead(isThere ? 200 : 404, { 'content-type': 'application/dns-message' });
    response.end(isThere ? message : '');
  };
  const server = createHttpServer({ cert, key }, (request, response) => void answer(request, response));
  return started(server, asked);
}

function note(bytes: Buffer, asked: Asked[], socket: TLSSocket): Asked {
  const { id = 0, questions = [], additionals = [] } = decode(bytes);
  const { name, type } = questions[0]!;
  const edns = additionals.some((record) => record.type === 'OPT');
  const from = { host: socket.remoteAddress!, port: socket.remotePort! };
  asked.push({ over: 'tcp', id, name, type, edns, from });
  return asked.at(-1)!;
}

async function started(
  server: ReturnType<typeof createTlsServer> | ReturnType<typeof createHttpServer>,
  asked: readonly Asked[],
): Promise<EncryptedNameServer> {
  const open = new Set<TLSSocket>();
  let connections = 0;
  server.on('secureConnection', (socket: TLSSocket) => {
    connections++;
    open.add(socket);
    socket.on('error', () => undefined); // the other side may close at any time
    socket.on('close', () => open.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  return {
    endpoint: { host: '127.0.0.1', port: address.port },
    asked,
    get connections() {
      return connections;
    },
    open,
    [Symbol.asyncDispose]: async () => {
      for (const socket of open) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
