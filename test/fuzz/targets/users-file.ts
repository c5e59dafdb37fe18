import { formatFaults, formatUser, parseUsers, removeUser, setUser } from '../../../src/auth/users-file.ts';
import { keeps, same, utf8, words } from '../target.ts';
import type { Target } from '../target.ts';

const HASH =
  '$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA';

export const targets: readonly Target[] = [
  {
    name: 'users-file',
    testRuns: 10_000,
    seeds: [
      `# users\nalice:${HASH}:staff,admins:expires=2027-01-31\n\nbob:${HASH}\r\n`,
      `alice:hunter2\nhunter2\nalice:${HASH}::expires=2027-02-30\n`,
      `jörg:${HASH}:@staff, a\n:${HASH}\na b:${HASH}:x:y\n`,
    ].map(utf8),
    tokens: words(`: , \n \r # @ expires= 2028-02-29 ${HASH} bob:${HASH} \u202E \0 \u{FFFD}`),
    run(input) {
      const text = Buffer.from(input).toString();
      const { users, faults } = parseUsers(text);
      const lines = text.split('\n');
      for (const { line, column, message, excerpt, caret } of faults) {
        const source = lines[line - 1];
        keeps('a fault is in the text', source !== undefined && column >= 1 && column <= source.length + 1);
        keeps('the caret is below the excerpt', caret >= 1 && caret <= excerpt.length + 1);
        keeps('a fault has no controls', !/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(message + excerpt), () =>
          JSON.stringify(excerpt),
        );
        const [name = '', field, ...rest] = source!.trimEnd().split(':');
        // A line without ":" may be a password as a whole; otherwise the field after the name may be one.
        const secret = field ?? name;
        const isElsewhere = [...(field === undefined ? [] : [name]), ...rest].some((one) =>
          one.includes(secret),
        );
        const isHidden = !/^[!-~]{4,}$/.test(secret) || isElsewhere || !excerpt.includes(secret);
        keeps('a fault shows no secret', isHidden, () => excerpt);
      }
      keeps('faults are told as text', formatFaults('f', faults) !== '' || faults.length === 0);

      const written = users.map((user) => `${formatUser(user)}\n`).join('');
      same('written and read, users are the same', parseUsers(written), { users, faults: [] });
      const user = users[0];
      if (user !== undefined) checkEdits(text, user);
      return `${Math.min(users.length, 2)} ${Math.min(faults.length, 2)} ${faults.length > 20}`;
    },
  },
];

function checkEdits(text: string, user: ReturnType<typeof parseUsers>['users'][number]): void {
  const { users } = parseUsers(text);
  const changed = { ...user, groups: ['changed'] };
  const edited = parseUsers(setUser(text, changed)).users;
  same(
    'one user is changed',
    edited,
    users.map((one) => (one.name === user.name ? changed : one)),
  );
  const left = parseUsers(removeUser(text, user.name)).users;
  same(
    'one user is removed',
    left,
    users.filter(({ name }) => name !== user.name),
  );
}
