import { readdir, readFile } from 'node:fs/promises';
import { until } from './process.ts';

/** Open descriptors of a process (Linux). */
export async function descriptors(pid: number): Promise<number> {
  return (await readdir(`/proc/${pid}/fd`)).length;
}

/** Waits until this process has no more descriptors open than so many. */
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

/** How many descriptors this process and its children may have open. */
export async function descriptorLimit(): Promise<number> {
  const limits = await readFile('/proc/self/limits', 'utf8');
  return Number(/^Max open files\s+(\d+|unlimited)/m.exec(limits)?.[1]?.replace('unlimited', '1e9'));
}

/** Milliseconds of processor time that a process has used, all threads together (Linux). */
export async function cpuTime(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  // utime and stime, in ticks of 10 ms, stand 11 words behind the name, which may hold blanks (proc(5)).
  const [user, system] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13);
  return (Number(user) + Number(system)) * 10;
}
