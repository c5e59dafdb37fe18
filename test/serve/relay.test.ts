import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, suite, test } from 'node:test';
import { startGarter, type Garter } from '../support/garter.ts';
import { Command, connectThrough, RawClient, request4, request5 } from '../support/raw.ts';
import { at, startEcho, startTarget, type Target } from '../support/targets.ts';

suite('bytes in transit', () => {
  let garter: Garter;
  let echo: Target;
  before(async () => {
    garter = await startGarter();
    echo = await startEcho();
  });
  after(async () => {
    await echo[Symbol.asyncDispose]();
    await garter[Symbol.asyncDispose]();
  });

  test('the client ends first: its bytes arrive, and so does the answer', async () => {
    const data = randomBytes(100_000);
    await using target = await startTarget((socket) => {
      const hash = createHash('sha256');
      socket.on('data', (chunk: Buffer) => hash.update(chunk));
      socket.on('end', () => socket.end(Buffer.concat([hash.digest(), data])));
    });
    using client = await connectThrough(garter, target);
    client.send(data);
    client.end();
    const answer = await client.rest();
    assert.deepEqual(answer.subarray(0, 32), createHash('sha256').update(data).digest());
    assert.deepEqual(answer.subarray(32), data);
    await garter.record({ destination: at(target), sent: 100_000, received: 100_032, end: 'client:relay' });
  });

  test('the target ends first: the client can still send', async () => {
    const data = randomBytes(100_000);
    let received = 0;
    const all = Promise.withResolvers<undefined>();
    await using target = await startTarget((socket) => {
      socket.end(data);
      socket.on('data', (chunk: Buffer) => (received += chunk.length));
      socket.on('end', () => all.resolve(undefined));
    });
    using client = await connectThrough(garter, target);
    assert.deepEqual(await client.rest(), data);
    client.send(data);
    client.end();
    await all.promise;
    assert.equal(received, 100_000);
    await garter.record({ destination: at(target), sent: 100_000, received: 100_000, end: 'target:relay' });
  });

  test('the target speaks first', async () => {
    await using target = await startTarget((socket) => socket.end('220 ready\r\n'));
    using client = await connectThrough(garter, target);
    assert.equal((await client.rest()).toString(), '220 ready\r\n');
  });

  test('bytes behind a request reach the target, and those behind the reply reach the client', async () => {
    const data = randomBytes(20_000);
    for (const request of [
      Buffer.concat([Buffer.of(5, 1, 0), request5(Command.connect, echo.host, echo.port)]),
      request4(Command.connect, echo.host, echo.port),
    ]) {
      using client = await RawClient.connect(garter);
      client.send(request, data);
      client.end();
      const answer = await client.rest();
      assert.equal(answer.length, data.length + (request[0] === 5 ? 12 : 8));
      assert.deepEqual(answer.subarray(-data.length), data);
      await garter.record({ destination: at(echo), sent: data.length, received: data.length });
    }
  });

  test('8 MiB both ways at once', async () => {
    const data = randomBytes(8 << 20);
    using client = await connectThrough(garter, echo);
    client.send(data);
    client.end();
    const answer = await client.rest();
    assert.ok(answer.equals(data));
    await garter.record({ destination: at(echo), sent: data.length, received: data.length });
  });
});

suite('time-outs', () => {
  let garter: Garter;
  let halfClosed: number;
  before(async () => {
    garter = await startGarter({ config: 'timeouts: { half-close: 1s, idle: 2s }' });
  });
  after(() => garter[Symbol.asyncDispose]());

  test('a half-closed connection that never finishes is ended', async () => {
    await using target = await startTarget((socket) => void socket.resume());
    using client = await connectThrough(garter, target);
    client.end();
    await client.gone();
    const { duration } = await garter.record({ destination: at(target), end: 'timeout:relay:half-close' });
    assert.ok(duration >= 990, `${duration} ms`);
    halfClosed = duration;
  });

  test('an idle connection is ended', async () => {
    await using target = await startEcho();
    using client = await connectThrough(garter, target);
    await client.gone();
    const { duration } = await garter.record({ destination: at(target), end: 'timeout:relay:idle' });
    assert.ok(duration >= 1990 && duration < 5 * halfClosed, `${duration} ms, half-closed ${halfClosed}`);
  });
});
