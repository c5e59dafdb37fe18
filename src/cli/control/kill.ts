import type { SessionsEnded } from '../../admin/sessions.ts';
import type { Io } from '../io.ts';
import { COMMON_HELP, queryOf, runControl, showJson, Usage, valueOf } from './command.ts';
import type { ControlCommand } from './command.ts';
import { FILTER, FILTER_HELP } from './sessions.ts';

const KILL: ControlCommand = {
  name: 'kill',
  help: `Usage: garter kill ID... [--control PATH | --config FILE] [--json]
       garter kill [--user NAME] [--client ADDRESS] [--to HOST] [--rule NAME] [--route NAME] [...]
       garter kill --all [...]

Ends open sessions: those with these ids, or those that match every option. Clients may come again, unless the rules or users change.

${FILTER_HELP}
  --all            every session
${COMMON_HELP}

Exit status: 0 ended, 1 no such session or no server, 2 usage error.

Example: garter kill --user alice
`,
  options: { ...FILTER, all: { type: 'boolean' } },
  takesPositionals: true,
  async run({ ask, io, json, values, positionals: ids }) {
    const { all, ...filter } = values;
    const ways = [ids.length > 0, Object.keys(filter).length > 0, all === true];
    if (ways.filter((given) => given).length !== 1) throw new Usage('give ids, options, or --all');
    const paths =
      ids.length > 0 ? ids.map((id) => `/${encodeURIComponent(id)}`) : [queryOf({ ...filter, all })];
    let ended = 0;
    for (const path of paths) {
      const reply = await ask<SessionsEnded>('DELETE', `/v1/sessions${path}`);
      if (reply.ok || reply.code !== 'no-session') ended += valueOf(reply).ended;
      else io.stderr.write(`garter kill: ${reply.message}\n`);
    }
    if (json) showJson({ ended }, io);
    else io.stdout.write(`ended ${ended} session${ended === 1 ? '' : 's'}\n`);
    return ended > 0 && ended >= ids.length ? 0 : 1;
  },
};

export function kill(args: readonly string[], io: Io): Promise<number> {
  return runControl(KILL, args, io);
}
