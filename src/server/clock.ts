/** Milliseconds between two looks at the time of day, for hours of rules, last days of users and the day of quotas. */
export const RECHECK_INTERVAL = 15_000;

/** Milliseconds on a clock that never jumps and is the same for all threads. */
export function monotonic(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}
