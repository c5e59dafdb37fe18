import type { SessionList } from '../../admin/sessions.ts';
import { formatFields } from '../../audit/format.ts';
import type { Io } from '../io.ts';
import { COMMON_HELP, queryOf, runControl, showJson, valueOf } from './command.ts';
import type { ControlCommand } from './command.ts';

/** The options that choose sessions. */
export const FILTER = {
  user: { type: 'string' },
  client: { type: 'string' },
  to: { type: 'string' },
  rule: { type: 'string' },
  route: { type: 'string' },
} as const;

export const FILTER_HELP = `  --user NAME      of this user
  --client ADDRESS from this address
  --to HOST        to this name or address, as requested or reached, perhaps with its port; .suffix for all names below
  --rule NAME      allowed by this rule
  --route NAME     by this route: direct, or the upstream`;

const SESSIONS: ControlCommand = {
  name: 'sessions',
  help: `Usage: garter sessions [--user NAME] [--client ADDRESS] [--to HOST] [--rule NAME] [--route NAME]
                       [--control PATH | --config FILE] [--json]

Lists the open sessions, one a line, with the fields of their records. Several options must all match.

${FILTER_HELP}
${COMMON_HELP.replace('the answer as JSON', 'each session as JSON, one a line')}

Exit status: 0 listed, 1 no server, 2 usage error.

Example: garter sessions --user alice --to .example.com
`,
  options: FILTER,
  async run({ ask, io, json, values }) {
    let page: string | undefined;
    do {
      const query = queryOf({ ...values, page });
      const list = valueOf(await ask<SessionList>('GET', `/v1/sessions${query}`));
      for (const session of list.sessions) {
        if (json) showJson(session, io);
        else io.stdout.write(formatFields('session', session));
      }
      page = list.next;
    } while (page !== undefined);
    return 0;
  },
};

export function sessions(args: readonly string[], io: Io): Promise<number> {
  return runControl(SESSIONS, args, io);
}
