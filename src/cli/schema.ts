import { jsonSchema } from '../config/schema/json-schema.ts';
import type { Io } from './io.ts';

const HELP = `Usage: garter schema

Prints the JSON Schema of the configuration file, with which an editor can complete and check it.

  -h, --help  show this help

Example: garter schema > garter.schema.json
and as the first line of garter.yaml: # yaml-language-server: $schema=garter.schema.json
`;

/** Runs `garter schema` and returns the exit status. */
export async function schema(
  args: readonly string[],
  { stdout, stderr }: Pick<Io, 'stdout' | 'stderr'>,
): Promise<number> {
  const [first] = args;
  if (first === undefined) stdout.write(`${JSON.stringify(jsonSchema(), undefined, 2)}\n`);
  else if (first === '--help' || first === '-h') stdout.write(HELP);
  else {
    stderr.write(`garter schema: ${JSON.stringify(first)} is not an option; see garter schema --help\n`);
    return 2;
  }
  return 0;
}
