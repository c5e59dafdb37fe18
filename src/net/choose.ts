import { isMainThread } from 'node:worker_threads';
import type { Engine } from './engine.ts';
import { PortableEngine } from './portable.ts';

export type EngineName = 'auto' | 'fast' | 'portable';

export interface EngineChoice {
  readonly engine: Engine;
  /** The reason, in a few words. */
  readonly why: string;
}

/**
 * The requested engine, or with `auto` the fast one where it works. Rejects when `fast` does not work here.
 */
export async function chooseEngine(wanted: EngineName): Promise<EngineChoice> {
  if (wanted === 'portable') return { engine: new PortableEngine(), why: 'as configured' };
  try {
    const engine = await openFast();
    return { engine, why: wanted === 'fast' ? 'as configured' : 'its system calls work here' };
  } catch (error) {
    const { message } = error as Error;
    if (wanted === 'fast')
      throw new Error(`the fast engine does not work here: ${message}`, { cause: error });
    return { engine: new PortableEngine(), why: `the fast one does not work here: ${message}` };
  }
}

/** Loads the fast engine's modules only when needed, so that they cannot fail where they are not. */
async function openFast(): Promise<Engine> {
  if (process.platform !== 'linux') throw new Error(`it needs Linux, and this is ${process.platform}`);
  if (process.arch !== 'x64' && process.arch !== 'arm64') {
    throw new Error(`it needs x64 or arm64, and this is ${process.arch}`);
  }
  if (!isMainThread) throw new Error('Node aborts the process when a worker that runs it ends');
  const { probe } = await import('../sys/probe.ts');
  probe();
  const { FastEngine } = await import('./fast.ts');
  return new FastEngine();
}
