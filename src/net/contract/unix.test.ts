import assert from 'node:assert/strict';
import { once } from 'node:events';
import { link } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { makeDirectory } from '../../../test/support/directory.ts';
import { engines, leavesNothing } from '../../../test/support/engines.ts';
import type { Connection } from '../engine.ts';

const HERE = { host: '127.0.0.1', port: 0 };
const TIMEOUT = { timeout: 60_000 };

leavesNothing();

for (const engine of engines) {
  suite(`${engine.name}: connections to a unix socket`, () => {
    test('both ways, and half-closed', async () => {
      await using directory = await makeDirectory();
      const path = join(directory.path, 'socket');
      const server = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket)).listen(path);
      await once(server, 'listening');
      const connection = await engine.connect({ path }, { ...TIMEOUT, from: '127.0.0.2' });
      assert.deepEqual([connection.local, connection.remote], [HERE, HERE]);
      connection.write(Buffer.from('there and back'));
      assert.equal(Buffer.from((await connection.read())!).toString(), 'there and back');
      const stream = connection.detach();
      stream.end(Buffer.alloc(300_000, 'x'));
      let size = 0;
      for await (const chunk of stream) size += (chunk as Buffer).length;
      assert.equal(size, 300_000);
      server.close();
      await once(server, 'close');
    });

    test('in a relay with TCP', async () => {
      await using directory = await makeDirectory();
      const at = { path: join(directory.path, 'socket'), mode: 0o600 };
      const atPath = Promise.withResolvers<Connection>();
      const atAddress = Promise.withResolvers<Connection>();
      await using byPath = await engine.listen(at, atPath.resolve, assert.fail);
      await using byAddress = await engine.listen(HERE, atAddress.resolve, assert.fail);
      const near = await engine.connect({ path: byPath.path! }, TIMEOUT);
      const client = await atPath.promise;
      const target = await engine.connect(byAddress.local, TIMEOUT);
      const far = await atAddress.promise;
      const ended = Promise.withResolvers<unknown>();
      engine.relay(client, target, { idle: 0, halfClose: 0, duration: 0 }, { relayEnded: ended.resolve });
      near.write(Buffer.from('hello'));
      assert.equal(Buffer.from((await far.read())!).toString(), 'hello');
      await Promise.all([near.closeGracefully(5000), far.closeGracefully(5000)]);
      await ended.promise;
    });

    test('a path without a listener, a missing one, and one that is too long', async () => {
      await using directory = await makeDirectory();
      const path = join(directory.path, 'socket');
      await assert.rejects(engine.connect({ path }, TIMEOUT), { code: 'ENOENT' });
      const server = createServer().listen(path);
      await once(server, 'listening');
      // Node removes the file when it closes: a hard link remains.
      const left = `${path}-left`;
      await link(path, left);
      server.close();
      await once(server, 'close');
      await assert.rejects(engine.connect({ path: left }, TIMEOUT), { code: 'ECONNREFUSED' });
      await assert.rejects(engine.connect({ path: `/${'x'.repeat(200)}` }, TIMEOUT), (error: unknown) => {
        assert.ok(['ENAMETOOLONG', 'EINVAL'].includes((error as NodeJS.ErrnoException).code!));
        return true;
      });
    });

    test('a signal aborted beforehand', async () => {
      const signal = AbortSignal.abort(new Error('enough'));
      await assert.rejects(engine.connect({ path: '/nowhere' }, { ...TIMEOUT, signal }), /enough/);
    });
  });
}
