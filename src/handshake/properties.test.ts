import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { addressOf } from '../wire/address.ts';
import type { Address } from '../wire/address.ts';
import { WireError } from '../wire/error.ts';
import { Command } from '../wire/socks5.ts';
import { ClientHandshake } from './client.ts';
import type { ClientEvent, ClientHandshakeOptions, ServerEvent } from './protocol.ts';
import { ServerHandshake } from './server.ts';

/** Splits bytes at drawn positions. */
function split(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].toSorted((a, b) => a - b);
  return [0, ...places].map((from, i) => bytes.slice(from, places[i] ?? bytes.length));
}

const cuts = fc.array(fc.nat(1000), { maxLength: 12 });
const literal = fc.oneof(fc.ipV4(), fc.ipV6());
const name = fc.domain().filter((host) => host.length < 200);
const port = fc.nat(65_535);
const word = fc
  .string({ minLength: 1, maxLength: 30 })
  .filter((text) => text.isWellFormed() && !text.includes('\0'));
const destination: fc.Arbitrary<Address> = fc
  .tuple(fc.oneof(literal, name), port)
  .map(([host, at]) => addressOf(host, at));
const command = fc.constantFrom(Command.connect, Command.bind, Command.udpAssociate);

const socks5: fc.Arbitrary<ClientHandshakeOptions> = fc.record(
  {
    protocol: fc.constant('socks5' as const),
    command,
    destination,
    credentials: fc.record(
      { username: word, password: fc.oneof(word, fc.constant('')) },
      { noNullPrototype: true },
    ),
  },
  { requiredKeys: ['protocol', 'command', 'destination'] },
);
const socks4: fc.Arbitrary<ClientHandshakeOptions> = fc.record({
  protocol: fc.constant('socks4a' as const),
  command: fc.constantFrom(Command.connect, Command.bind),
  destination: destination.filter(({ type, host }) => type !== 4 && !host.startsWith('0.0.0.')),
  userId: word,
});

const http: fc.Arbitrary<ClientHandshakeOptions> = fc.record(
  {
    protocol: fc.constant('http' as const),
    command: fc.constant(Command.connect),
    destination,
    credentials: fc.record(
      { username: word.filter((text) => !text.includes(':')), password: fc.oneof(word, fc.constant('')) },
      { noNullPrototype: true },
    ),
  },
  { requiredKeys: ['protocol', 'command', 'destination'] },
);

/** A server that accepts everything it can, and records its events. */
function serve(handshake: ServerHandshake, heard: ServerEvent[]): Uint8Array[] {
  const out: Uint8Array[] = [];
  for (let event = handshake.next(); event !== undefined; event = handshake.next()) {
    heard.push(event);
    if (event.type === 'greeting') out.push(choose(handshake, event.methods) ?? NOTHING);
    else if (event.type === 'password') out.push(handshake.accept() ?? NOTHING);
    else if (event.type === 'request') {
      if (handshake.state === 'verdict') out.push(handshake.accept() ?? NOTHING);
      out.push(handshake.reply(0, { host: '192.0.2.9', port: 1 }));
      if (event.command === Command.bind) out.push(handshake.reply(0, { host: '2001:db8::1', port: 2 }));
    }
  }
  return out;
}

function choose(handshake: ServerHandshake, offered: readonly number[]): Uint8Array | undefined {
  const method = ([2, 0] as const).find((one) => offered.includes(one));
  return method === undefined ? handshake.refuse() : handshake.chooseMethod(method);
}

const NOTHING = new Uint8Array(0);

/** A server's events for these pieces, and the error at their end. */
function eventsOf(pieces: readonly Uint8Array[]): unknown[] {
  const handshake = new ServerHandshake();
  const heard: ServerEvent[] = [];
  try {
    for (const piece of pieces) {
      handshake.receive(piece);
      serve(handshake, heard);
    }
  } catch (error) {
    assert.ok(error instanceof WireError, String(error));
    return [...heard, error.code];
  }
  return heard;
}

suite('client and server', () => {
  test('understand each other however the bytes are split, and lose nothing', () => {
    const early = fc.uint8Array({ maxLength: 50 });
    fc.assert(
      fc.property(
        fc.oneof(socks5, socks4, http),
        cuts,
        early,
        early,
        (options, at, clientData, targetData) => {
          const server = new ServerHandshake({ protocols: ['socks5', 'socks4', 'http'] });
          const client = new ClientHandshake(options);
          const heard: ServerEvent[] = [];
          const replies: ClientEvent[] = [];
          let toServer: Uint8Array[] = [client.start()];
          while (toServer.length > 0) {
            const toClient: Uint8Array[] = [];
            for (const piece of split(Buffer.concat(toServer), at)) {
              server.receive(piece);
              toClient.push(...serve(server, heard));
            }
            toServer = [];
            if (server.state === 'done') toClient.push(targetData);
            for (const piece of split(Buffer.concat(toClient), at)) {
              client.receive(piece);
              for (let event = client.next(); event !== undefined; event = client.next()) {
                if (event.type === 'send') toServer.push(event.bytes);
                else replies.push(event);
              }
            }
          }
          server.receive(clientData);
          assert.equal(client.state, 'done');
          assert.equal(server.state, 'done');
          assert.deepEqual(Buffer.from(server.trailing()), Buffer.from(clientData));
          assert.deepEqual(Buffer.from(client.trailing()), Buffer.from(targetData));
          assert.equal(replies.length, options.command === Command.bind ? 2 : 1);
          assert.ok(replies.every((reply) => reply.type === 'reply' && reply.ok));
          const request = heard.at(-1);
          assert.ok(request?.type === 'request');
          assert.deepEqual(request.destination, options.destination);
          assert.equal(request.command, options.command);
          const password = request.credentials ?? heard.find((event) => event.type === 'password');
          assert.deepEqual(
            password && { username: password.username, password: password.password },
            options.credentials,
          );
        },
      ),
      { numRuns: 500 },
    );
  });
});

suite('a hostile peer', () => {
  const junk = fc.oneof(
    fc.uint8Array({ maxLength: 1200 }),
    // A message with a valid beginning.
    fc
      .tuple(
        fc.constantFrom(
          '050100',
          '050102',
          '04010050c0000201',
          '0401005000000001',
          '050100050100',
          '0501020101610161050100',
          '474554',
        ),
        fc.uint8Array({ maxLength: 700 }),
      )
      .map(([hex, rest]) => Buffer.concat([Buffer.from(hex, 'hex'), rest])),
  );

  test('gets nothing but a WireError out of a server, and nothing after the end', () => {
    fc.assert(
      fc.property(junk, cuts, (bytes, at) => {
        const handshake = new ServerHandshake();
        let broken = false;
        for (const piece of split(bytes, at)) {
          handshake.receive(piece);
          try {
            const out = serve(handshake, []);
            assert.ok(!broken || out.length === 0, 'output after the end');
          } catch (error) {
            assert.ok(error instanceof WireError, String(error));
            assert.ok(!broken, 'a second error');
            broken = true;
            handshake.refuse();
            assert.equal(handshake.state, 'closed');
          }
        }
        assert.equal(handshake.refuse() === undefined || handshake.state === 'closed', true);
      }),
      { numRuns: 2000 },
    );
  });

  test('the same events, however the bytes are split', () => {
    fc.assert(
      fc.property(junk, cuts, (bytes, at) => {
        assert.deepEqual(eventsOf(split(bytes, at)), eventsOf([bytes]));
        assert.deepEqual(eventsOf([...bytes].map((byte) => Uint8Array.of(byte))), eventsOf([bytes]));
      }),
      { numRuns: 500 },
    );
  });

  test('gets nothing but a WireError out of a client', () => {
    fc.assert(
      fc.property(
        fc.oneof(socks5, socks4, http),
        fc.uint8Array({ maxLength: 600 }),
        cuts,
        (options, bytes, at) => {
          const handshake = new ClientHandshake(options);
          handshake.start();
          let broken = false;
          for (const piece of split(bytes, at)) {
            handshake.receive(piece);
            try {
              for (let event = handshake.next(); event !== undefined; event = handshake.next())
                assert.ok(!broken);
            } catch (error) {
              assert.ok(error instanceof WireError, String(error));
              assert.ok(!broken, 'a second error');
              broken = true;
            }
          }
        },
      ),
      { numRuns: 1000 },
    );
  });

  test('a handshake never holds more memory than its messages need', () => {
    const handshake = new ServerHandshake();
    assert.throws(
      () => {
        for (let i = 0; i < 64; i++) {
          handshake.receive(
            i === 0 ? Uint8Array.from([4, 1, 0, 80, 192, 0, 2, 1]) : new Uint8Array(1024).fill(0x61),
          );
          handshake.next();
          assert.ok(i < 2, 'read on without an end');
        }
      },
      { code: 'ERR_SOCKS_USER_ID' },
    );
  });
});
