import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { parseIp } from '../wire/ip.ts';
import { Reply } from '../wire/socks5.ts';
import { firstFromHere, firstFromThere, wayFromHere } from './addresses.ts';
import { UpstreamError } from './error.ts';

const ADDRESSES = ['::1', '::2', '::3', '192.0.2.1', '192.0.2.2'].map((host) => parseIp(host)!);

/** Fails with the error listed for an address, and records the attempts. */
function attempts(failures: Readonly<Record<string, unknown>>): {
  readonly tried: string[];
  readonly use: (host: string) => Promise<string>;
} {
  const tried: string[] = [];
  const use = async (host: string): Promise<string> => {
    tried.push(host);
    if (failures[host] !== undefined) throw failures[host];
    return host;
  };
  return { tried, use };
}

const failed = (code: string): Error => Object.assign(new Error(code), { code });
const said = (reply: Reply): Error => new UpstreamError('reply', 'p', `reply-${reply}`, reply);

suite('from this machine', () => {
  test('the families in turn, until one can be used', async () => {
    const no = failed('EADDRNOTAVAIL');
    const { tried, use } = attempts({ '::1': no, '192.0.2.1': no });
    assert.equal(await firstFromHere(ADDRESSES, use), '::2');
    assert.deepEqual(tried, ['::1', '192.0.2.1', '::2']);
  });

  test('none can be used: the most informative error', async () => {
    const none = Object.fromEntries(['::1', '::2', '::3'].map((host) => [host, failed('ENETUNREACH')]));
    const { use } = attempts({ ...none, '192.0.2.1': failed('EADDRNOTAVAIL') });
    await assert.rejects(firstFromHere(ADDRESSES.slice(0, 4), use), { code: 'EADDRNOTAVAIL' });
  });

  test("the local address is that of the kernel's route", () => {
    assert.equal(wayFromHere('127.0.0.1'), '127.0.0.1');
    assert.throws(() => wayFromHere('fe80::1'), { code: 'ENETUNREACH' });
  });
});

suite('from an upstream', () => {
  test('the families in turn, while there is no route', async () => {
    const { tried, use } = attempts({ '::1': said(Reply.networkUnreachable) });
    assert.equal(await firstFromThere(ADDRESSES, use), '192.0.2.1');
    assert.deepEqual(tried, ['::1', '192.0.2.1']);
  });

  test('at most three, then the first error', async () => {
    const all = Object.fromEntries(
      ['::1', '::2', '192.0.2.1'].map((host, i) => [host, said(i === 0 ? 4 : Reply.addressTypeNotSupported)]),
    );
    const { tried, use } = attempts(all);
    await assert.rejects(firstFromThere(ADDRESSES, use), { code: 'reply-4' });
    assert.equal(tried.length, 3);
  });

  test('any other error is final', async () => {
    const { tried, use } = attempts({ '::1': said(Reply.connectionRefused) });
    await assert.rejects(firstFromThere(ADDRESSES, use), { code: 'reply-5' });
    assert.equal(tried.length, 1);
  });
});
