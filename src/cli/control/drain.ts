import type { Status } from '../../admin/status.ts';
import type { Io } from '../io.ts';
import { COMMON_HELP, runControl, showJson, valueOf } from './command.ts';
import type { ControlCommand } from './command.ts';

const DRAIN: ControlCommand = {
  name: 'drain',
  help: `Usage: garter drain [--control PATH | --config FILE] [--json]

Makes the running server accept no more connections, and end when the open ones have ended or after timeouts: drain. Returns at once;
garter stop waits for the end.

${COMMON_HELP}

Exit status: 0 begun, 1 no server, 2 usage error.

Example: garter drain
`,
  async run({ ask, io, json }) {
    const status = valueOf(await ask<Status>('POST', '/v1/drain'));
    const { open } = status.sessions;
    if (json) showJson(status, io);
    else io.stdout.write(`ending; ${open} session${open === 1 ? '' : 's'} may finish\n`);
    return 0;
  },
};

export function drain(args: readonly string[], io: Io): Promise<number> {
  return runControl(DRAIN, args, io);
}
