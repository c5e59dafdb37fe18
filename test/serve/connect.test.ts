import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { garterCommand, OPEN, startGarter } from '../support/garter.ts';
import { run } from '../support/process.ts';
import type { Outcome } from '../support/process.ts';
import { startTarget } from '../support/targets.ts';
import type { Target } from '../support/targets.ts';

/** Echoes everything once its client has ended its direction. */
function startLateEcho(): Promise<Target> {
  return startTarget((socket) => {
    const chunks: Uint8Array[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.on('end', () => socket.end(Buffer.concat(chunks)));
  });
}

function connect(args: readonly string[], env: Record<string, string> = {}, input = ''): Promise<Outcome> {
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  return run(['env', '-u', 'no_proxy', ...variables, garterCommand, 'connect', ...args], { input });
}

suite('garter connect', () => {
  test('carries a megabyte there and back, by every protocol and to a name', async () => {
    await using garter = await startGarter({ config: OPEN, listener: ['protocols: [socks5, socks4, http]'] });
    await using echo = await startLateEcho();
    const input = 'x'.repeat(1_000_000);
    for (const scheme of ['socks5h', 'socks5', 'socks4a', 'socks4', 'http']) {
      const proxy = `${scheme}://127.0.0.1:${garter.port}`;
      const { code, stdout, stderr } = await connect(
        ['--proxy', proxy, 'localhost', `${echo.port}`],
        {},
        input,
      );
      assert.deepEqual([code, stderr, stdout.length], [0, '', input.length], scheme);
    }
    await garter.record({ end: 'client:relay', sent: input.length, received: input.length });
  });

  test('logs in with the variable, in the order of curl', async () => {
    await using garter = await startGarter({ config: OPEN, users: { alice: 'pass/word' } });
    await using echo = await startLateEcho();
    const url = `socks5h://alice:pass%2Fword@127.0.0.1:${garter.port}`;
    const args = ['127.0.0.1', `${echo.port}`];
    const other = 'socks5h://127.0.0.1:1';
    assert.equal(
      (await connect(args, { all_proxy: url, ALL_PROXY: other, https_proxy: other }, 'hi')).stdout,
      'hi',
    );
    assert.equal((await connect(args, { HTTPS_PROXY: url }, 'hi')).stdout, 'hi');
    await garter.record({ user: 'alice' });
    const wrong = await connect(args, { ALL_PROXY: url.replace('pass', 'fail') });
    assert.equal(wrong.code, 1);
    assert.match(
      wrong.stderr,
      /^garter connect: 127\.0\.0\.1:\d+: socks5h:\/\/127\.0\.0\.1:\d+: password\n$/,
    );
  });

  test('hosts in no_proxy are reached directly', async () => {
    await using echo = await startLateEcho();
    const dead = 'socks5h://127.0.0.1:1';
    for (const list of ['localhost', '.localhost,x.test', '*.localhost', '*', '10.0.0.0/8 127.0.0.0/8']) {
      const host = list.includes('127') ? '127.0.0.1' : 'localhost';
      const { code, stdout } = await connect(
        [host, `${echo.port}`],
        { ALL_PROXY: dead, NO_PROXY: list },
        'hi',
      );
      assert.deepEqual([code, stdout], [0, 'hi'], list);
    }
    assert.equal(
      (await connect(['localhost', `${echo.port}`], { ALL_PROXY: dead, no_proxy: 'host' })).code,
      1,
    );
  });

  test('says why there is no connection', async () => {
    await using garter = await startGarter({
      config: 'rules: [{ name: some, allow: any, to: [loopback], port: [1] }]',
    });
    const proxy = `socks5h://127.0.0.1:${garter.port}`;
    for (const [host, port, said] of [
      ['127.0.0.1', '1', `${proxy}: connection refused`],
      ['127.0.0.1', '2', `${proxy}: not allowed by the rules of the proxy server`],
      ['a..b', '1', 'a..b is not a host name'],
      ['127.1', '1', 'what 127.1 means differs from program to program'],
    ] as const) {
      const { code, stdout, stderr } = await connect(['--proxy', proxy, host, port]);
      assert.deepEqual([code, stdout, stderr], [1, '', `garter connect: ${host}:${port}: ${said}\n`]);
    }
  });

  test('wrong usage: status 2, and no password in the message', async () => {
    for (const [args, said] of [
      [['h'], /give HOST and PORT/],
      [['h', '0'], /PORT is a number/],
      [['h', 'https'], /PORT is a number/],
      [['h', '1'], /the variable ALL_PROXY/],
      [['--proxy', 'socks5h://u:hunter2@h', 'h', '1'], /everyone on this machine can read/],
      [['--proxy', 'ftp://h', 'h', '1'], /^--proxy: /],
      [['--frob', 'h', '1'], /Unknown option '--frob'/],
      [['--timeout', '0', '--proxy', 'http://h', 'h', '1'], /--timeout is a number of seconds/],
    ] as const) {
      const { code, stderr } = await connect(args, { all_proxy: '', ALL_PROXY: '' });
      assert.equal(code, 2, args.join(' '));
      assert.match(stderr, said);
      assert.ok(!stderr.includes('hunter2'));
    }
  });
});
