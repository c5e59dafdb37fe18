import { start, type Daemon } from '../support/process.ts';

/** Options for the foreground, without any other sources of names. */
const ALONE = [
  '--keep-in-foreground',
  '--log-facility=-',
  '--conf-file=/dev/null',
  '--no-resolv',
  '--no-hosts',
  '--user=root',
  '--pid-file=',
];

/**
 * A name server on port 53 with these options; `prefix` is put in front of the command, to run it on another
 * machine.
 */
export function startDnsmasq(options: readonly string[], prefix: readonly string[] = []): Promise<Daemon> {
  return start([...prefix, 'dnsmasq', ...ALONE, ...options], { ready: /started/ });
}
