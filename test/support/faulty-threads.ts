/**
 * Preloaded into garter (`--import`): one of its threads takes away the file GARTER_TEST_FAULT when that appears, and throws; or it hangs,
 * if that is what stands in it.
 */
import { readFileSync, unlinkSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

const file = process.env['GARTER_TEST_FAULT'];
if (!isMainThread && file !== undefined) {
  setInterval(() => {
    let fault: string;
    try {
      fault = readFileSync(file, 'utf8');
      unlinkSync(file);
    } catch {
      return; // not now, or another thread was first
    }
    if (fault === 'hang') for (;;);
    throw new Error('made to throw');
  }, 10).unref();
}
