/** Loaded into garter: on SIGWINCH, collects garbage and writes the bytes left on the heap into $TEST_HEAP. */
import { writeFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

process.on('SIGWINCH', () => {
  collect();
  writeFileSync(process.env['TEST_HEAP']!, String(process.memoryUsage().heapUsed));
});
