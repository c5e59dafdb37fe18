import { readdir, readFile } from 'node:fs/promises';
import { until } from './process.ts';

/** Open descriptors of a process (Linux). */
export async function descriptors(pid: number): Promise<number> {
  return (await readdir(`/proc/${pid}/fd`)).length;
}

/** Waits until this process has at most this many descriptors open. */
export async function untilDescriptors(count: number): Promise<void> {
  await until(
    async () => (await descriptors(process.pid)) <= count,
    async () => `${await descriptors(process.pid)} descriptors, ${count} before`,
  );
}

/** Resident memory of a process, in MiB (Linux). */
export async function memory(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Math.round(Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024);
}

/** The number of descriptors that this process and its children may each have open. */
export async function descriptorLimit(): Promise<number> {
  const limits = await readFile('/proc/self/limits', 'utf8');
  return Number(/^Max open files\s+(\d+|unlimited)/m.exec(limits)?.[1]?.replace('unlimited', '1e9'));
}

/** Milliseconds of CPU time that a process has used, in all threads (Linux). */
export async function cpuTime(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  // utime and stime, in ticks of 10 ms, are the 12th and 13th words after the name, which may contain blanks
  // (proc(5)).
  const [user, system] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13);
  return (Number(user) + Number(system)) * 10;
}
