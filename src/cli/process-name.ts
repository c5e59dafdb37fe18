import { writeFileSync } from 'node:fs';

/** As in `ps -C garter` and `pgrep garter`. */
export const NAME = 'garter';

/**
 * Names the process. On Linux only the name of its main thread is changed: setting `process.title` would
 * overwrite the arguments that ps shows.
 */
export function nameProcess(): void {
  if (process.platform !== 'linux') {
    process.title = NAME;
    return;
  }
  try {
    writeFileSync('/proc/self/comm', NAME);
  } catch {
    // Without /proc it stays `node`.
  }
}
