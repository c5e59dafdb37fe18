import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { ClientHandshake } from '../../src/handshake/client.ts';
import type { ClientHandshakeOptions, ServerEvent, ServerProtocol } from '../../src/handshake/protocol.ts';
import { ServerHandshake } from '../../src/handshake/server.ts';
import { WireError } from '../../src/wire/error.ts';
import type { Credentials } from '../../src/wire/password.ts';
import { Command, Reply } from '../../src/wire/socks5.ts';
import { addressOf } from '../../src/wire/address.ts';

/** 192.0.2.9:4000 in SOCKS5 encoding: the address that the server of a transcript claims to be bound to. */
export const BOUND = '01 c0 00 02 09 0f a0';

export const hexOf = (text: string): string => Buffer.from(text).toString('hex');

/** Options of clients. */
export const connect: ClientHandshakeOptions = {
  protocol: 'socks5',
  command: Command.connect,
  destination: addressOf('example.com', 80),
};
export const withPassword: ClientHandshakeOptions = {
  ...connect,
  credentials: { username: 'alice', password: 'secret' },
};
export const bind: ClientHandshakeOptions = {
  ...connect,
  command: Command.bind,
  destination: addressOf('192.0.2.1', 21),
};

/** An HTTP head. */
export const headOf = (...lines: readonly string[]): string => hexOf(`${lines.join('\r\n')}\r\n\r\n`);

/**
 * `> hex` is sent by the client, `< hex` by the server, which prefers passwords to none, knows alice:pw, and
 * answers the request with `replies`; `! CODE` is a protocol error, which must be the last line.
 */
export interface ServerTranscript {
  readonly name: string;
  readonly lines: readonly string[];
  /** One or two replies to the request. @default succeeded, bound to 192.0.2.9:4000 */
  readonly replies?: readonly (0 | 1 | 2 | 5 | 7)[];
  readonly trailing?: string;
  readonly protocols?: readonly ServerProtocol[];
}

export function runServerTranscripts(transcripts: readonly ServerTranscript[]): void {
  suite('transcripts of a server', () => {
    for (const transcript of transcripts) {
      for (const size of [1, 2, 3, 512, Infinity]) {
        test(`${transcript.name}, in chunks of ${size}`, () => {
          const { log, handshake } = playServer(transcript, size);
          assert.deepEqual(
            log,
            transcript.lines
              .filter((line) => !line.startsWith('>'))
              .map((line) => (line.startsWith('<') ? `< ${line.replaceAll(/[< ]/g, '')}` : line)),
          );
          assert.equal(Buffer.from(handshake.trailing()).toString('hex'), transcript.trailing ?? '');
          assert.ok(['done', 'closed'].includes(handshake.state), handshake.state);
          assert.equal(handshake.next(), undefined);
          assert.equal(handshake.refuse(), undefined);
          assert.throws(() => handshake.reply(0), Error, 'no reply after the end');
          assert.throws(() => handshake.chooseMethod(0), Error);
          assert.throws(() => handshake.accept(), Error);
        });
      }
    }
  });
}

/** `> hex` is sent by the client, `< hex` by its server; `= text` is the outcome. */
export interface ClientTranscript {
  readonly name: string;
  readonly options: ClientHandshakeOptions;
  readonly lines: readonly string[];
}

export function runClientTranscripts(transcripts: readonly ClientTranscript[]): void {
  suite('transcripts of a client', () => {
    for (const { name, options, lines } of transcripts) {
      const marked = (mark: string): string[] => lines.filter((line) => line.startsWith(mark));
      const bytesOf = (mark: string): Buffer =>
        Buffer.from(marked(mark).join('').replaceAll(/[<> ]/g, ''), 'hex');
      const input = bytesOf('<');
      const expected = { written: bytesOf('>').toString('hex'), outcome: marked('=') };

      for (const size of [1, 2, 3, 512]) {
        test(`${name}, in chunks of ${size}`, () => {
          const count = Math.ceil(input.length / size);
          const chunks = Array.from({ length: count }, (_, i) => input.subarray(i * size, (i + 1) * size));
          assert.deepEqual(playClient(options, chunks), expected);
        });
      }
      test(`${name}, split everywhere`, () => {
        for (let at = 0; at <= input.length; at++) {
          assert.deepEqual(
            playClient(options, [input.subarray(0, at), input.subarray(at)]),
            expected,
            `at ${at}`,
          );
        }
      });
    }
  });
}

/** Feeds the client's bytes in chunks, and returns all events in order. */
function playServer(
  { lines, replies = [0], protocols }: ServerTranscript,
  size: number,
): { log: string[]; handshake: ServerHandshake } {
  const handshake = new ServerHandshake(protocols === undefined ? {} : { protocols });
  const sent = Buffer.from(
    lines
      .filter((line) => line.startsWith('>'))
      .join('')
      .replaceAll(/[> ]/g, ''),
    'hex',
  );
  const log: string[] = [];
  const answer = (bytes: Uint8Array): void => void log.push(`< ${Buffer.from(bytes).toString('hex')}`);
  for (let at = 0; at < sent.length; at += size) {
    handshake.receive(Uint8Array.from(sent.subarray(at, at + size)));
    try {
      for (let event = handshake.next(); event !== undefined; event = handshake.next())
        respond(handshake, event, replies).forEach(answer);
    } catch (error) {
      assert.ok(error instanceof WireError, String(error));
      log.push(`! ${error.code}`);
      const refusal = handshake.refuse();
      if (refusal !== undefined) answer(refusal);
    }
  }
  return { log, handshake };
}

function respond(
  handshake: ServerHandshake,
  event: ServerEvent,
  replies: readonly (0 | 1 | 2 | 5 | 7)[],
): Uint8Array[] {
  switch (event.type) {
    case 'greeting': {
      const method = ([2, 0] as const).find((one) => event.methods.includes(one));
      return present(
        method === undefined ? handshake.refuse(Reply.notAllowed) : handshake.chooseMethod(method),
      );
    }
    case 'password':
      return judge(handshake, event);
    case 'request':
      return [
        ...(event.protocol === 'socks5' ? [] : judge(handshake, event.credentials)),
        ...(handshake.state === 'reply' ? answerRequest(handshake, replies) : []),
      ];
    case 'foreign':
      return present(handshake.refuse());
    default:
      return event satisfies never;
  }
}

function judge(
  handshake: ServerHandshake,
  shown: Credentials = { username: 'alice', password: 'pw' },
): Uint8Array[] {
  const isKnown = shown.username === 'alice' && shown.password === 'pw';
  return present(isKnown ? handshake.accept() : handshake.refuse(Reply.notAllowed));
}

function answerRequest(handshake: ServerHandshake, replies: readonly (0 | 1 | 2 | 5 | 7)[]): Uint8Array[] {
  return replies.map((code) =>
    handshake.reply(code, code === 0 ? { host: '192.0.2.9', port: 4000 } : undefined),
  );
}

function present(bytes: Uint8Array | undefined): Uint8Array[] {
  return bytes === undefined ? [] : [bytes];
}

/** Feeds the server's chunks, and returns the bytes that the client wrote, and the outcome. */
function playClient(
  options: ClientHandshakeOptions,
  chunks: readonly Uint8Array[],
): { written: string; outcome: string[] } {
  const handshake = new ClientHandshake(options);
  const written = [handshake.start()];
  const outcome: string[] = [];
  for (const chunk of chunks) {
    handshake.receive(chunk);
    try {
      for (let event = handshake.next(); event !== undefined; event = handshake.next()) {
        if (event.type === 'send') written.push(event.bytes);
        else if (event.type === 'refused') outcome.push(`= refused ${event.phase}`);
        else
          outcome.push(`= ${event.ok ? 'ok' : 'no'} ${event.code} ${event.bound.host}:${event.bound.port}`);
      }
    } catch (error) {
      assert.ok(error instanceof WireError, String(error));
      outcome.push(`= ${error.code}`);
    }
  }
  const trailing = handshake.state === 'done' ? ` ${Buffer.from(handshake.trailing()).toString('hex')}` : '';
  outcome.push(`= ${handshake.state}${trailing.trimEnd()}`);
  return { written: Buffer.concat(written).toString('hex'), outcome };
}
