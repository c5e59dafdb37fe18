import type { Io } from '../io.ts';
import { COMMON_HELP, runControl, showJson, valueOf } from './command.ts';
import type { ControlCommand } from './command.ts';

const RELOAD: ControlCommand = {
  name: 'reload',
  help: `Usage: garter reload [--control PATH | --config FILE] [--json]

Makes the running server read its configuration, users, certificates and lists again, and waits for the outcome. A faulty file
changes nothing: the mistakes are printed, and the exit status is 1.

${COMMON_HELP}

Exit status: 0 reloaded, 1 not reloaded or no server, 2 usage error.

Example: garter reload --config /etc/garter/garter.yaml
`,
  async run({ ask, io, json }) {
    const { warnings } = valueOf(await ask<{ readonly warnings: string }>('POST', '/v1/reload'));
    if (!json) io.stderr.write(warnings);
    if (json) showJson({ reloaded: true, warnings }, io);
    else io.stdout.write('reloaded\n');
    return 0;
  },
};

export function reload(args: readonly string[], io: Io): Promise<number> {
  return runControl(RELOAD, args, io);
}
