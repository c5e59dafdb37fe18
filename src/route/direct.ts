import type { Connection, Engine } from '../net/engine.ts';
import type { Permit } from '../policy/decide.ts';
import { race } from './race.ts';
import type { RaceOptions } from './race.ts';

/** Connects to the first of the permit's addresses that answers. */
export function dial(permit: Permit, engine: Engine, options: RaceOptions): Promise<Connection> {
  return race(permit.addresses, permit.destination.port, engine, options);
}
