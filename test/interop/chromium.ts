import { run } from '../support/process.ts';
import type { Outcome } from '../support/process.ts';

/** Loads a page without a window, and returns its content. `prefix`: where it runs; `profile`: a folder. */
export function dumpPage(
  prefix: readonly string[],
  profile: string,
  url: string,
  proxy: readonly string[],
): Promise<Outcome> {
  const chromium = [
    'chromium',
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    `--user-data-dir=${profile}`,
    ...proxy,
    '--dump-dom',
    url,
  ];
  return run([...prefix, ...chromium], { timeout: 60_000 });
}
