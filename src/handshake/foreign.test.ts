import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { hexOf } from '../../test/support/transcripts.ts';
import type { HttpRequest } from '../wire/http.ts';
import type { ServerEvent } from './protocol.ts';
import { ServerHandshake } from './server.ts';
import type { ServerHandshakeOptions } from './server.ts';

const ANSWER = 'HTTP/1.1 204 No Content\r\n\r\n';

/** The events and answers for these bytes, and the request that was passed on. */
function play(
  text: string,
  size: number,
  options: ServerHandshakeOptions = {},
): { events: unknown[]; answer: string | undefined; asked: HttpRequest[] } {
  const asked: HttpRequest[] = [];
  const handshake = new ServerHandshake({
    answerHttp: (request) => {
      asked.push(request);
      return request.target === '/known' ? Buffer.from(ANSWER) : undefined;
    },
    ...options,
  });
  const events: unknown[] = [];
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += size) {
    handshake.receive(Uint8Array.from(bytes.subarray(at, at + size)));
    const event = handshake.next();
    if (event !== undefined) events.push(event);
  }
  const answer = handshake.refuse();
  return { events, answer: answer && Buffer.from(answer).toString(), asked };
}

suite('HTTP requests other than CONNECT', () => {
  for (const size of [1, 7, Infinity]) {
    test(`is answered once its head is there, in chunks of ${size}`, () => {
      const { events, answer, asked } = play('GET /known HTTP/1.1\r\nHost: a\r\n\r\n', size);
      assert.deepEqual(events, [{ type: 'foreign', kind: 'http' }]);
      assert.equal(answer, ANSWER);
      assert.deepEqual(asked, [{ method: 'GET', target: '/known', headers: new Map([['host', 'a']]) }]);
    });
  }

  test('is not answered before', () => {
    const { events, answer, asked } = play('GET /known HTTP/1.1\r\nHost: a\r\n', 5);
    assert.deepEqual([events, answer, asked], [[], undefined, []]);
  });

  const rows = [
    ['what nobody answers', 'GET /other HTTP/1.1\r\n\r\n', 1],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 0],
    ['a malformed field', 'GET /known HTTP/1.1\r\nHost\r\n\r\n', 0],
    ['a head without an end', `GET /known HTTP/1.1\r\nX: ${'x'.repeat(20_000)}`, 0],
    ['CONNECT that is switched off', 'CONNECT a:443 HTTP/1.1\r\n\r\n', 1],
  ] as const;
  for (const [name, text, asks] of rows) {
    test(`${name} gets the page`, () => {
      const { events, answer, asked } = play(text, 1024);
      assert.deepEqual(events, [{ type: 'foreign', kind: 'http' }]);
      assert.match(answer!, /^HTTP\/1\.1 400 Bad Request\r\n[^]*SOCKS/);
      assert.equal(asked.length, asks);
    });
  }

  test('where HTTP CONNECT is enabled too', () => {
    const { answer } = play('GET /known HTTP/1.1\r\n\r\n', 1, { protocols: ['http'] });
    assert.equal(answer, ANSWER);
  });
});

suite('input that is not SOCKS', () => {
  const rows: readonly (readonly [name: string, hex: string, kind: string])[] = [
    ['GET', hexOf('GET / HTTP/1.1\r\nHost: a\r\n\r\n'), 'http'],
    ['CONNECT', hexOf('CONNECT a:443 HTTP/1.1\r\n\r\n'), 'http'],
    ['HTTP/2', hexOf('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), 'http'],
    ['a TLS hello', '16 03 01 02 00 01 00 01 fc 03 03', 'tls'],
    ['PROXY protocol 1', hexOf('PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n'), 'proxy'],
    ['PROXY protocol 2', '0d 0a 0d 0a 00 0d 0a 51 55 49 54 0a 21 11 00 0c', 'proxy'],
    ['SOCKS6', '06 00 00 00', 'unknown'],
    ['a word', hexOf('HELO example.com\r\n'), 'unknown'],
    ['zero', '00', 'unknown'],
  ];
  for (const [name, hex, kind] of rows) {
    test(`${name}: ${kind}`, () => {
      const bytes = Buffer.from(hex.replaceAll(' ', ''), 'hex');
      for (const size of [1, 3, 512]) {
        const handshake = new ServerHandshake();
        const events: ServerEvent[] = [];
        for (let at = 0; at < bytes.length; at += size) {
          handshake.receive(Uint8Array.from(bytes.subarray(at, at + size)));
          const event = handshake.next();
          if (event !== undefined) events.push(event);
        }
        assert.deepEqual(events, [{ type: 'foreign', kind }]);
        const page = handshake.refuse();
        assert.equal(page !== undefined, kind === 'http');
        if (page !== undefined) checkPage(Buffer.from(page).toString());
      }
    });
  }
});

function checkPage(page: string): void {
  const [head = '', body = ''] = page.split('\r\n\r\n');
  assert.match(head, /^HTTP\/1\.1 4\d\d /);
  assert.match(head, new RegExp(`\\r\\nContent-Length: ${Buffer.byteLength(body)}(\\r\\n|$)`));
  assert.match(head, /\r\nConnection: close/);
  assert.match(body, /SOCKS/);
}
