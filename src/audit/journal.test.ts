import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { Journal } from './journal.ts';
import type { Subscriber } from './journal.ts';
import { Log } from './log.ts';
import type { Level } from './log.ts';
import { recordLines } from './record-lines.ts';
import type { ConnectionRecord } from './record.ts';

const RECORD: ConnectionRecord = {
  id: '1-1',
  client: '192.0.2.1:1',
  listener: '192.0.2.2:1080',
  sent: 1,
  received: 2,
  duration: 3,
};

function setup(level: Level = 'info') {
  const lines: string[] = [];
  const log = new Log(
    { level, format: 'text', to: ['stderr'] },
    {
      pass: ({ text }) => lines.push(text),
    },
  );
  const journal = new Journal(log);
  let made = 0;
  const subject = {
    record: (end?: string): ConnectionRecord => {
      made++;
      return end === undefined ? RECORD : { ...RECORD, end };
    },
  };
  return { journal, log, lines, subject, made: () => made };
}

/** Keeps what it takes. */
function reader(): Subscriber & { readonly taken: unknown[] } {
  const taken: unknown[] = [];
  return { taken, take: ({ end }, event, silenced) => taken.push([event, silenced, end]) };
}

suite('the journal', () => {
  test('a record without a taker is not made', () => {
    const { journal, log, subject, made } = setup();
    journal.write(subject, 'disconnect', false, 'client:relay');
    journal.subscribe(recordLines(log));
    journal.write(subject, 'disconnect', true, 'client:relay');
    assert.equal(made(), 0);
    const { journal: quiet, log: errorsOnly, subject: other, made: madeOfOther } = setup('error');
    quiet.subscribe(recordLines(errorsOnly));
    quiet.write(other, 'disconnect', false, 'client:relay');
    assert.equal(madeOfOther(), 0);
  });

  test('a silenced record has no log line, but other subscribers get it', () => {
    const { journal, log, lines, subject, made } = setup();
    const [one, two] = [reader(), reader()];
    journal.subscribe(recordLines(log));
    journal.subscribe(one);
    journal.subscribe(two);
    journal.write(subject, 'connect', false);
    journal.write(subject, 'error', true, 'policy:request:no-rule');
    assert.deepEqual(one.taken, [
      ['connect', false, undefined],
      ['error', true, 'policy:request:no-rule'],
    ]);
    assert.deepEqual(two.taken, one.taken);
    assert.equal(made(), 2, 'one for all of them');
    assert.deepEqual(lines, [
      'connect id=1-1 client=192.0.2.1:1 listener=192.0.2.2:1080 sent=1 received=2 duration=3\n',
    ]);
  });

  test('a subscriber that throws is reported, and the others get their record', () => {
    const { journal, lines, subject } = setup('error');
    const after = reader();
    journal.subscribe({
      take: () => {
        throw new Error('the disk is full');
      },
    });
    journal.subscribe(after);
    for (let i = 0; i < 2; i++) journal.write(subject, 'disconnect', false, 'client:relay');
    assert.equal(after.taken.length, 2);
    assert.equal(lines.length, 1, 'the same words once a minute');
    assert.match(
      lines[0]!,
      /^subscriber-failed: a subscriber of the records failed error=.*the disk is full/,
    );
  });

  test('a subscription ends', () => {
    const { journal, subject, made } = setup();
    const one = reader();
    const unsubscribe = journal.subscribe(one);
    assert.equal(journal.isRead, true);
    unsubscribe();
    assert.equal(journal.isRead, false);
    journal.write(subject, 'disconnect', false, 'client:relay');
    assert.deepEqual([one.taken.length, made()], [0, 0]);
  });
});
