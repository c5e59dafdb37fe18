/**
 * Milliseconds between two checks of the time of day, for hours of rules, expiry of users and the day of
 * quotas.
 */
export const RECHECK_INTERVAL = 15_000;

/** Milliseconds on a monotonic clock that all threads share. */
export function monotonic(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}
