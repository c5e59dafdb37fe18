import assert from 'node:assert/strict';
import { settingsFromObject } from '../../src/config/load.ts';
import type { Settings } from '../../src/server/settings.ts';

export type { ServerConfig } from '../../src/config/input/server-config.ts';

/** The settings of a valid configuration. `authenticates`: the embedding program checks passwords. */
export function settingsOf(config: object, authenticates = false): Settings {
  const { settings, errors } = settingsFromObject(config, authenticates);
  assert.deepEqual(errors, []);
  return settings!;
}
