import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { ActivatedSockets } from './systemd.ts';

function passed(fds: string, names = '', pid = process.pid): NodeJS.ProcessEnv {
  return { LISTEN_PID: String(pid), LISTEN_FDS: fds, LISTEN_FDNAMES: names, PATH: '/bin' };
}

suite('the sockets that systemd passes', () => {
  test('by name, or all of them; each once', () => {
    const sockets = new ActivatedSockets(passed('3', 'socks:other:socks'));
    assert.deepEqual(sockets.take('socks'), [{ fd: 3 }, { fd: 5 }]);
    assert.throws(() => sockets.take('socks'), /descriptor 3 is already used/);
    assert.throws(() => sockets.take(''), /descriptor 3 is already used/);
    assert.deepEqual(sockets.take('other'), [{ fd: 4 }]);
    assert.throws(() => sockets.take('third'), /systemd passed socks, other, socks/);
    assert.deepEqual(new ActivatedSockets(passed('2')).take(''), [{ fd: 3 }, { fd: 4 }]);
  });

  test('they have one owner', () => {
    const env = passed('1', 'socks');
    const first = new ActivatedSockets(env);
    assert.deepEqual(env, { PATH: '/bin' });
    assert.throws(() => new ActivatedSockets(env).take('socks'), /systemd passed no socket/);
    assert.deepEqual(first.take('socks'), [{ fd: 3 }]);
  });

  test('sockets of another process are not taken', () => {
    const env = passed('1', 'socks', process.pid + 1);
    assert.throws(() => new ActivatedSockets(env).take('socks'), /systemd passed no socket/);
    assert.equal(env.LISTEN_FDS, '1');
  });

  test('an impossible number of sockets', () => {
    assert.throws(() => new ActivatedSockets(passed('99999')).take(''), /LISTEN_FDS is 99999/);
  });
});
