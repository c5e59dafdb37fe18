/**
 * Preloaded into garter (`--import`): makes one of its threads throw when the file GARTER_TEST_FAULT appears, which that thread takes
 * away.
 */
import { unlinkSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

const file = process.env['GARTER_TEST_FAULT'];
if (!isMainThread && file !== undefined) {
  setInterval(() => {
    try {
      unlinkSync(file);
    } catch {
      return; // not now, or another thread was first
    }
    throw new Error('made to throw');
  }, 10).unref();
}
