import { scenarios, type Scenario, type Scene } from './scenarios.ts';

// The clients of a soak test: takes a scene and a number of lanes, prints its counts every second, and ends
// at SIGTERM.

const [json = '', lanes = '0'] = process.argv.slice(2);
const scene = JSON.parse(json) as Scene;
const counts: Record<string, number> = { visits: 0, turnedAway: 0, gaveWay: 0 };
const faults = new Map<string, number>();
const stop = new AbortController();

/** A random one, by weight. */
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
    // Closed before a byte: garter has reached its connection limit, as its records confirm.
    if (/with 0 bytes: *$/.test(message)) counts['turnedAway']!++;
    // Closed between the method and the reply: it gave way to another connection.
    else if (message.endsWith('with 2 bytes: 05 00')) counts['gaveWay']!++;
    else {
      const fault = `${scenario.name}: ${message}`;
      faults.set(fault, (faults.get(fault) ?? 0) + 1);
    }
  }
}

/** Makes visits until the load is ended. */
async function lane(): Promise<void> {
  while (!stop.signal.aborted) await visit();
}

// Before others guess passwords.
await visit(scenarios.find(({ name }) => name === 'login'));
const all = Array.from({ length: Number(lanes) }, lane);
const told = setInterval(() => console.log(JSON.stringify({ counts, faults: [...faults] })), 1000);
process.on('SIGTERM', () => stop.abort());
await Promise.all(all);
clearInterval(told);
console.log(JSON.stringify({ counts, faults: [...faults] }));
// Pending timers, whose results are no longer needed, would delay the end.
process.exit(0);
