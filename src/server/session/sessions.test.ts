import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { Journal } from '../../audit/journal.ts';
import { Log } from '../../audit/log.ts';
import { recordLines } from '../../audit/record-lines.ts';
import { createLimitMemory, Limits } from '../../limits/limits.ts';
import type { Connection } from '../../net/engine.ts';
import type { LogKind, RuleOptions } from '../../policy/policy.ts';
import { Failure } from '../failure.ts';
import { Quotas } from '../limits/quotas.ts';
import type { OpenListener } from '../listen/listeners.ts';
import { matches } from './filter.ts';
import type { SessionFilter } from './filter.ts';
import type { Session } from './session.ts';
import { Sessions } from './sessions.ts';

const LISTENER = { settings: {}, place: '192.0.2.1:1080' } as OpenListener;
const MEMORY = createLimitMemory([1, 2], 32);

function rule(name: string, log: readonly LogKind[] = []): RuleOptions {
  return { name, action: 'allow', to: ['any'], log, revoke: 'close' };
}

const GRANT = { command: 'udp', destination: undefined, addresses: [] } as const;

function setup() {
  const lines: string[] = [];
  const log = new Log(
    { level: 'info', format: 'text', to: ['stderr'] },
    {
      pass: ({ event }) => lines.push(event),
    },
  );
  const journal = new Journal(log);
  journal.subscribe(recordLines(log));
  const sessions = new Sessions({ log, journal }, new Limits(MEMORY), new Quotas(NO_QUOTAS), 4);
  const open = (host = '192.0.2.7'): Session => {
    const client = { remote: { host, port: 1 }, local: { host: '192.0.2.1', port: 1080 }, destroy: () => {} };
    return sessions.open(client as unknown as Connection, LISTENER);
  };
  return { sessions, open, journal, lines };
}

const NO_QUOTAS = { used: () => 0, add: () => undefined };

/** The numbers of the sessions. */
function numbers(page: readonly Session[]): number[] {
  return page.map(({ number }) => number);
}

suite('open sessions are listed in pages', () => {
  test('the oldest first, each once, with the last page marked', () => {
    const { sessions, open } = setup();
    for (let i = 0; i < 7; i++) open();
    const first = sessions.page(undefined, 3);
    assert.deepEqual([numbers(first.sessions), first.next], [[1, 2, 3], 3]);
    const second = sessions.page(first.next, 3);
    assert.deepEqual([numbers(second.sessions), second.next], [[4, 5, 6], 6]);
    assert.deepEqual(numbers(sessions.page(second.next, 3).sessions), [7]);
    assert.equal(sessions.page(second.next, 3).next, undefined);
    assert.equal(sessions.page(undefined, 7).next, undefined);
    assert.deepEqual(sessions.page(7, 3), { sessions: [] });
  });

  test('sessions that stay are listed once, even if others start or end meanwhile', () => {
    const { sessions, open } = setup();
    const all = Array.from({ length: 50 }, () => open());
    const ended = all.filter((_, i) => i % 3 === 0);
    const stay = all.filter((_, i) => i % 3 !== 0);
    const seen: number[] = [];
    let next: number | undefined;
    do {
      const page = sessions.page(next, 4);
      seen.push(...numbers(page.sessions));
      next = page.next;
      const gone = ended.pop();
      if (gone !== undefined) sessions.close(gone, { by: 'client', phase: 'relay' });
      if (seen.length < 60) open();
    } while (next !== undefined);
    assert.deepEqual(
      seen,
      seen.toSorted((a, b) => a - b),
    );
    assert.equal(new Set(seen).size, seen.length);
    for (const { number } of stay) assert.ok(seen.includes(number), `${number} is missing`);
  });
});

const FILTERS: readonly (readonly [SessionFilter, readonly number[]])[] = [
  [{}, [1, 2, 3]],
  [{ user: 'alice' }, [1, 2]],
  [{ user: 'nobody' }, []],
  [{ client: '192.0.2.7' }, [1, 3]],
  [{ client: 'junk' }, []],
  [{ client: '2001:db8:0::1' }, [2]],
  [{ rule: 'web' }, [1]],
  [{ route: 'direct' }, [2]],
  [{ to: 'WWW.example.com' }, [1]],
  [{ to: 'www.example.com:443' }, [1]],
  [{ to: 'www.example.com:44' }, []],
  [{ to: '.Example.com' }, [1]],
  [{ to: '.www.example.com' }, []],
  [{ to: '203.0.113.80' }, [1]],
  [{ to: '[2001:db8:0::9]' }, [2]],
  [{ to: '[2001:db8::9]:80' }, [2]],
  [{ to: '2001:db8::9' }, [2]],
  [{ user: 'alice', client: '192.0.2.7' }, [1]],
  [{ user: 'alice', rule: 'other' }, []],
];

function stopThose(sessions: Sessions, filter: SessionFilter): number {
  return sessions.stop((session) =>
    matches(session, filter) ? new Failure('admin', session.phase, 'drain') : undefined,
  );
}

suite('sessions are stopped by a filter', () => {
  for (const [filter, expected] of FILTERS) {
    test(JSON.stringify(filter), () => {
      const { sessions, open } = setup();
      const [first, second, third] = [open(), open('2001:db8::1'), open()];
      for (const session of [first, second]) session.identifiedAs({ user: 'alice', groups: [] });
      first.granted(rule('web'), GRANT);
      first.requestReceived('socks5', 'connect', { host: 'www.example.com', port: 443 });
      first.reaches({ host: '203.0.113.80', port: 443 });
      second.requestReceived('socks5', 'connect', { host: '2001:db8::9', port: 80 });
      second.goesBy('direct');
      const count = stopThose(sessions, filter);
      const stopped = [first, second, third].filter(({ failure }) => failure !== undefined);
      assert.deepEqual([numbers(stopped), count], [expected, expected.length]);
      for (const { failure } of stopped) assert.equal(failure!.detail, 'drain');
    });
  }

  test('one by its id', () => {
    const { sessions, open } = setup();
    open();
    const { id } = open();
    open();
    assert.equal(stopThose(sessions, { id }), 1);
  });
});

const LINES: readonly (readonly [readonly LogKind[], readonly string[]])[] = [
  [[], []],
  [['disconnect', 'error'], ['disconnect']],
  [['connect'], ['connect']],
  [['error'], []],
];

for (const [log, expected] of LINES) {
  test(`log: [${log.join()}] writes these lines, and every subscriber of the journal gets all`, () => {
    const { sessions, open, journal, lines } = setup();
    const taken: unknown[] = [];
    journal.subscribe({ take: ({ rule: name, end }, event) => taken.push([event, name, end]) });
    const session = open();
    session.granted(rule('web', log), GRANT);
    sessions.recordGrant(session);
    sessions.close(session, { by: 'client', phase: 'relay' });
    assert.deepEqual(lines, expected);
    assert.deepEqual(taken, [
      ['connect', 'web', undefined],
      ['disconnect', 'web', 'client:relay'],
    ]);
  });
}

test('a session that no rule matched has a line', () => {
  const { sessions, open, journal } = setup();
  const silence: boolean[] = [];
  journal.subscribe({ take: (_, __, silenced) => void silence.push(silenced) });
  sessions.close(open(), new Failure('policy', 'request', 'no-rule'));
  assert.deepEqual(silence, [false]);
});
