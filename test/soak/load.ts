import { scenarios, type Scenario, type Scene } from './scenarios.ts';

// The clients of a soak: started with a scene and a number of lanes, prints its counts every second, ends at SIGTERM.

const [json = '', lanes = '0'] = process.argv.slice(2);
const scene = JSON.parse(json) as Scene;
const counts: Record<string, number> = { visits: 0, turnedAway: 0, gaveWay: 0 };
const faults = new Map<string, number>();
const stop = new AbortController();

/** One at random, by weight. */
function pick(): Scenario {
  let left = Math.random() * scenarios.reduce((sum, { weight }) => sum + weight, 0);
  return scenarios.find(({ weight }) => (left -= weight) < 0) ?? scenarios[0]!;
}

async function visit(scenario = pick()): Promise<void> {
  counts['visits']!++;
  try {
    const outcome = await scenario.run(scene);
    counts[outcome] = (counts[outcome] ?? 0) + 1;
  } catch (error) {
    const { message } = error as Error;
    // Closed before a byte: garter has as many connections as it may; its records say so too.
    if (/with 0 bytes: *$/.test(message)) counts['turnedAway']!++;
    // Closed between the method and the reply: its place was needed for another.
    else if (message.endsWith('with 2 bytes: 05 00')) counts['gaveWay']!++;
    else {
      const fault = `${scenario.name}: ${message}`;
      faults.set(fault, (faults.get(fault) ?? 0) + 1);
    }
  }
}

/** Visits until the load is told to end. */
async function lane(): Promise<void> {
  while (!stop.signal.aborted) await visit();
}

// Before anybody guesses.
await visit(scenarios.find(({ name }) => name === 'login'));
const all = Array.from({ length: Number(lanes) }, lane);
const told = setInterval(() => console.log(JSON.stringify({ counts, faults: [...faults] })), 1000);
process.on('SIGTERM', () => stop.abort());
await Promise.all(all);
clearInterval(told);
console.log(JSON.stringify({ counts, faults: [...faults] }));
// Waits that nobody waits for any more would keep it for a while.
process.exit(0);
