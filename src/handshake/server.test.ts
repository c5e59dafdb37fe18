import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { Method, Reply } from '../wire/socks5.ts';
import type { ServerHandshakeState } from './protocol.ts';
import { ServerHandshake } from './server.ts';

const bytesOf = (hex: string): Uint8Array => Buffer.from(hex.replaceAll(' ', ''), 'hex');

/** A handshake that has received the client's bytes, and has accepted everything up to the state `until`. */
function handshakeAt(until: ServerHandshakeState, hex: string): ServerHandshake {
  const handshake = new ServerHandshake({ protocols: ['socks5', 'socks4', 'http'] });
  handshake.receive(bytesOf(hex));
  while (handshake.state !== until) {
    const event = handshake.next();
    if (handshake.state === until) break;
    assert.ok(event !== undefined, `no way from ${handshake.state} to ${until}`);
    if (event.type === 'greeting') {
      handshake.chooseMethod(event.methods.includes(Method.password) ? Method.password : Method.none);
    } else if (event.type === 'request' && handshake.state === 'reply') {
      handshake.reply(Reply.succeeded);
    } else {
      handshake.accept();
      if (event.type === 'request' && handshake.state !== until) handshake.reply(Reply.succeeded);
    }
  }
  return handshake;
}

const httpConnect = Buffer.from('CONNECT a:1 HTTP/1.1\r\n\r\n').toString('hex');
const badGateway = Buffer.from(
  'HTTP/1.1 502 Bad Gateway\r\nProxy-Status: garter; error=destination_unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n',
).toString('hex');

/** Every state, with the bytes that lead to it and its refusal. */
const states: readonly (readonly [ServerHandshakeState, hex: string, refusal: string | undefined])[] = [
  ['greeting', '', undefined],
  ['greeting', '05 02', undefined],
  ['greeting', '04 01 0050', undefined],
  ['method', '05 02 00 02', '05ff'],
  ['password', '05 01 02', undefined],
  ['password', '05 01 02 01 05', undefined],
  ['verdict', '05 01 02 01 01 61 01 62', '0101'],
  ['verdict', '04 01 0050 c0000201 00', '005b000000000000'],
  ['verdict', httpConnect, badGateway],
  ['request', '05 01 02 01 01 61 01 62', undefined],
  ['request', '05 01 00 05 01', undefined],
  ['reply', '05 01 00 05 01 00 01 c0000201 0050', '05040001000000000000'],
  ['reply', '04 01 0050 c0000201 00', '005b000000000000'],
  ['reply', httpConnect, badGateway],
  ['bind', '05 01 00 05 02 00 01 c0000201 0050', '05040001000000000000'],
  ['bind', '04 02 0050 c0000201 00', '005b000000000000'],
  ['done', '05 01 00 05 01 00 01 c0000201 0050', undefined],
  ['done', '04 01 0050 c0000201 00', undefined],
  ['done', httpConnect, undefined],
];

const calls: readonly (readonly [
  string,
  (handshake: ServerHandshake) => unknown,
  readonly ServerHandshakeState[],
])[] = [
  ['chooseMethod', (handshake) => handshake.chooseMethod(Method.password), ['method']],
  ['accept', (handshake) => handshake.accept(), ['verdict']],
  ['reply', (handshake) => handshake.reply(Reply.succeeded), ['reply', 'bind']],
  ['trailing', (handshake) => handshake.trailing(), ['reply', 'bind', 'done', 'closed']],
];

for (const [state, hex, refusal] of states) {
  suite(`in state ${state} after [${hex}]`, () => {
    test('a call that is not due throws', () => {
      for (const [name, call, due] of calls) {
        const handshake = handshakeAt(state, hex);
        if (due.includes(state)) assert.doesNotThrow(() => call(handshake), name);
        else assert.throws(() => call(handshake), new RegExp(`in state ${state};`), name);
      }
    });

    test('a refusal has the format of the answer that is due, and ends the handshake', () => {
      const handshake = handshakeAt(state, hex);
      const bytes = handshake.refuse(Reply.hostUnreachable);
      assert.equal(bytes && Buffer.from(bytes).toString('hex'), refusal);
      assert.equal(handshake.state, 'closed');
      assert.equal(handshake.refuse(), undefined);
      handshake.receive(bytesOf('05 01 00'));
      assert.equal(handshake.next(), undefined);
      assert.equal(handshake.trailing().length, 0);
      for (const [name, call, due] of calls) {
        if (!due.includes('closed')) assert.throws(() => call(handshake), /in state closed;/, name);
      }
    });
  });
}

test('a method that was not offered cannot be chosen', () => {
  const handshake = handshakeAt('method', '05 01 02');
  assert.throws(() => handshake.chooseMethod(Method.none), /not offered/);
  assert.equal(handshake.state, 'method');
});

test('a bound address that cannot be sent leaves the reply due', () => {
  const handshake = handshakeAt('reply', '05 01 00 05 01 00 01 c0000201 0050');
  assert.throws(() => handshake.reply(Reply.succeeded, { host: 'a'.repeat(256), port: 1 }), RangeError);
  assert.equal(handshake.state, 'reply');
});

test('early data waits through both replies to BIND, and is given out once', () => {
  const handshake = handshakeAt('bind', '05 01 00 05 02 00 01 c0000201 0050 616263');
  handshake.reply(Reply.succeeded);
  handshake.receive(bytesOf('64'));
  assert.equal(Buffer.from(handshake.trailing()).toString(), 'abcd');
  assert.equal(handshake.trailing().length, 0);
});
