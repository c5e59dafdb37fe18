import { QUESTION_OPTIONS } from '../../admin/explain/question.ts';
import type { Outcome } from '../../admin/explain/outcome.ts';
import type { Io } from '../io.ts';
import { COMMON_HELP, queryOf, runControl, showJson, Usage, valueOf } from './command.ts';
import type { ControlCommand } from './command.ts';

const EXPLAIN: ControlCommand = {
  name: 'explain',
  help: `Usage: garter explain --from ADDRESS --to HOST:PORT [--user NAME] [--command C] [--method M] [--protocol P]
                      [--listener ADDRESS] [--address ADDRESS]... [--at TIME] [--control PATH | --config FILE] [--json]

Shows what the running server would answer to a request, by the rules, users and addresses that it has now. The options are those of
garter check, which reads a file instead.

  --from ADDRESS   the client, perhaps with its port
  --to HOST:PORT   the destination, as the client would send it
  --user NAME, --command C, --method M, --protocol P, --listener ADDRESS, --address ADDRESS, --at TIME
                   see garter check --help
${COMMON_HELP}

Exit status: 0 allowed, 1 refused or no server, 2 usage error.

Example: garter explain --from 10.0.0.5 --user alice --to www.example.com:443
`,
  options: QUESTION_OPTIONS,
  async run({ ask, io, json, values }) {
    const reply = await ask<Outcome>('GET', `/v1/explain${queryOf(values)}`);
    if (!reply.ok && reply.code === 'parameter') throw new Usage(reply.message);
    const outcome = valueOf(reply);
    if (json) showJson(outcome, io);
    else io.stdout.write(outcome.text);
    return outcome.allowed ? 0 : 1;
  },
};

export function explain(args: readonly string[], io: Io): Promise<number> {
  return runControl(EXPLAIN, args, io);
}
