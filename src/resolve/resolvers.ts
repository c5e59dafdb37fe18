import { isDeepStrictEqual } from 'node:util';
import { Resolver } from './resolver.ts';
import type { Machine, ResolveOptions } from './resolver.ts';

/** The resolvers that some settings want: one for each way to ask, so that all who ask in the same way share what is known. */
export class Resolvers implements Disposable {
  readonly #resolvers = new Set<Resolver>();
  readonly #machine: Machine;

  constructor(machine: Machine = {}) {
    this.#machine = machine;
  }

  /** The one that asks in this way. One of the settings before stays, with all that it knows. */
  for(options: ResolveOptions, before: Resolvers = this): Resolver {
    const resolver = this.#find(options) ?? before.#find(options) ?? new Resolver(options, this.#machine);
    this.#resolvers.add(resolver);
    return resolver;
  }

  /** Ends what is under way with ECLOSED. */
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
