import { isDeepStrictEqual } from 'node:util';
import { Resolver } from './resolver.ts';
import type { Machine, ResolveOptions } from './resolver.ts';

/**
 * The resolvers of the current settings: one per distinct set of options, so that callers with equal options
 * share its cache.
 */
export class Resolvers implements Disposable {
  readonly #resolvers = new Set<Resolver>();
  readonly #machine: Machine;

  constructor(machine: Machine = {}) {
    this.#machine = machine;
  }

  /** The resolver for these options. One of the previous settings is kept, with its cache. */
  for(options: ResolveOptions, before: Resolvers = this): Resolver {
    const resolver = this.#find(options) ?? before.#find(options) ?? new Resolver(options, this.#machine);
    this.#resolvers.add(resolver);
    return resolver;
  }

  /** Rejects everything in progress with ECLOSED. */
  close(): void {
    for (const resolver of this.#resolvers) resolver.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #find(options: ResolveOptions): Resolver | undefined {
    return [...this.#resolvers].find((one) => isDeepStrictEqual(one.options, options));
  }
}
