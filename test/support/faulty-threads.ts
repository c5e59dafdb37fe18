/**
 * Preloaded into garter (`--import`): when the file TEST_FAULT appears, one of the threads removes it
 * and throws, or hangs if the file says so.
 */
import { readFileSync, unlinkSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

const file = process.env['TEST_FAULT'];
if (!isMainThread && file !== undefined) {
  setInterval(() => {
    let fault: string;
    try {
      fault = readFileSync(file, 'utf8');
      unlinkSync(file);
    } catch {
      return; // not yet, or another thread was first
    }
    if (fault === 'hang') for (;;);
    throw new Error('made to throw');
  }, 10).unref();
}
