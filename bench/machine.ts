import { execFileSync } from 'node:child_process';
import { cpus, loadavg, release } from 'node:os';
import type { Candidate } from './candidates.ts';

/** The machine and the versions measured. */
export interface Machine {
  readonly cpu: string;
  readonly kernel: string;
  readonly node: string;
  /** The one-minute load before the first round. */
  readonly load: number;
  /** The version of each proxy: of its package, or its commit. */
  readonly versions: Readonly<Record<string, string>>;
}

export function describeMachine(candidates: readonly Candidate[]): Machine {
  const all = cpus();
  return {
    cpu: `${all.length} x ${all[0]?.model ?? 'unknown'}`,
    kernel: release(),
    node: process.version,
    load: loadavg()[0] ?? 0,
    versions: Object.fromEntries(candidates.map((candidate) => [candidate.name, version(candidate)])),
  };
}

function version(candidate: Candidate): string {
  if (candidate.package !== undefined)
    return output('dpkg-query', ['-W', '-f', '${Version}', candidate.package]);
  if (candidate.path !== undefined)
    return output('git', ['-C', candidate.path, 'describe', '--always', '--dirty']);
  return '';
}

/** The version is only informative: without dpkg or git it is unknown. */
function output(program: string, words: readonly string[]): string {
  try {
    return execFileSync(program, words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return 'unknown';
  }
}
