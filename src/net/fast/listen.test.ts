import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { mock, test } from 'node:test';
import { leavesNothing, read } from '../../../test/support/engines.ts';
import { start } from '../../../test/support/process.ts';
import { descriptors } from '../../../test/support/usage.ts';
import type { Connection } from '../engine.ts';
import { FastEngine } from '../fast.ts';
import { EPOLL_CTL_ADD } from '../../sys/constants.ts';
import { libc } from '../../sys/libc.ts';

const LOOPBACK = { host: '127.0.0.1', port: 0 };

leavesNothing();

test('a connection that the system cannot watch is closed, and later ones are accepted', async () => {
  const codes: string[] = [];
  const arrival = Promise.withResolvers<Connection>();
  await using listener = await new FastEngine().listen(LOOPBACK, arrival.resolve, (code) => codes.push(code));
  const real = libc.epoll_ctl.bind(libc);
  let full = true;
  const add: typeof real = (epoll, operation, fd, event) =>
    full && operation === EPOLL_CTL_ADD ? libc.close(-1) : real(epoll, operation, fd, event);
  // The limit on watches per user is shared by the whole machine, so it is mocked.
  const adding = mock.method(libc, 'epoll_ctl', add);
  try {
    const refused = connect({ ...listener.local }).resume();
    await once(refused, 'close');
    const before = await descriptors(process.pid);
    full = false;
    const far = connect({ ...listener.local });
    far.write('x');
    const near = await arrival.promise;
    assert.equal((await read(near, 1)).toString(), 'x');
    assert.equal(await descriptors(process.pid), before + 3);
    near.destroy();
    far.destroy();
  } finally {
    adding.mock.restore();
  }
  assert.deepEqual(codes, ['EBADF']);
});

test('a lone listener survives running out of descriptors', async () => {
  const script = `
    import { closeSync, openSync } from 'node:fs';
    import { FastEngine } from '${import.meta.resolve('../fast.ts')}';
    const taken = [];
    const takeAll = () => {
      try {
        for (;;) taken.push(openSync('/dev/null'));
      } catch ({ code }) {
        if (code !== 'EMFILE') throw code;
      }
    };
    const accepted = (connection) => {
      console.log('accepted');
      connection.destroy();
      void listener.close();
    };
    const failed = (code) => {
      console.log(code);
      // No descriptors are being watched now, so the epoll set is closed.
      setImmediate(takeAll);
      setTimeout(() => taken.forEach(closeSync), 350);
    };
    const listener = await new FastEngine().listen({ host: '127.0.0.1', port: 0 }, accepted, failed);
    console.log('port', listener.local.port);
    takeAll();`;
  const limited = ['sh', '-c', 'ulimit -n 100; exec "$0" "$@"', process.execPath];
  await using program = await start([...limited, '--input-type=module', '-e', script], {
    ready: /port (\d+)/,
  });
  const far = connect(Number(program.ready[1]), '127.0.0.1').resume();
  assert.equal(await program.ended(), 0, program.stderr());
  assert.match(program.stdout(), /EMFILE\naccepted\n$/);
  far.destroy();
});
