import { start, type Daemon } from '../support/process.ts';

/** In the foreground, and it knows nothing but what it is told. */
const ALONE = [
  '--keep-in-foreground',
  '--log-facility=-',
  '--conf-file=/dev/null',
  '--no-resolv',
  '--no-hosts',
  '--user=root',
  '--pid-file=',
];

/** A name server on port 53, with these options; `prefix` is what to put in front of it so that it runs on another machine. */
export function startDnsmasq(options: readonly string[], prefix: readonly string[] = []): Promise<Daemon> {
  return start([...prefix, 'dnsmasq', ...ALONE, ...options], { ready: /started/ });
}
