import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { DIRECT, garter, PEERS, words } from './candidates.ts';
import type { Candidate } from './candidates.ts';
import { CASES } from './cases.ts';
import type { Case } from './cases.ts';
import { chains } from './chains.ts';

/** What to measure, for how long and where. */
export interface Plan {
  readonly rounds: number;
  readonly cases: readonly Case[];
  readonly candidates: readonly Candidate[];
  /** The candidate that ratios are relative to: the first garter, if there is one. */
  readonly first: string | undefined;
  /** Seconds. */
  readonly warmUp: number;
  readonly seconds: number;
  readonly rest: number;
  /** Divides the number of connections of `idle`. */
  readonly fewer: number;
  readonly generatorCpu: number;
  readonly proxyCpu: number;
  /** The file for the results. */
  readonly json: string;
}

const HOME = resolve(import.meta.dirname, '..');

export const HELP: string = `usage: npm run bench -- [OPTION]...

  --rounds N           default 3
  --quick              one short round, to see that all works
  --only NAME,...      cases, default all: ${CASES.map((one) => one.name).join(' ')};
                       a first word (bulk, rtt) stands for all of its cases
  --proxies NAME,...   who takes part, default all: direct, every garter, ${PEERS.map((peer) => peer.name).join(', ')}
  --garter NAME=PATH   a garter: a checkout with its packages installed; 'NAME=PATH ARGUMENT...' starts it with
                       arguments. Can be repeated; ratios are of the first. Default: this checkout as garter
  --chains             instead of garters and peers: hops-1, hops-2, hops-3, hops-2-tls and hops-3-tls, so many garters
                       of this checkout one behind the other
  --garter-args ARGS   arguments for every garter, such as '--engine portable'
  --rest SECONDS       that connections are idle before their memory is looked at, default 5
  --cpus A,B           cores of the generator and of the proxy, default 0,1
  --json FILE          where the figures go, default bench/out/bench.json`;

/** `undefined` when help is requested. Throws an Error that says what to write instead. */
export function parsePlan(args: readonly string[]): Plan | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: 'string' },
      quick: { type: 'boolean', default: false },
      only: { type: 'string' },
      proxies: { type: 'string' },
      garter: { type: 'string', multiple: true, default: [`garter=${HOME}`] },
      chains: { type: 'boolean', default: false },
      'garter-args': { type: 'string', default: '' },
      rest: { type: 'string' },
      cpus: { type: 'string', default: '0,1' },
      json: { type: 'string', default: resolve(HOME, 'bench/out/bench.json') },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const extra = words(values['garter-args']);
  const proxies = values.chains
    ? chains(HOME, extra)
    : [...values.garter.map((text) => garter(text, extra)), ...PEERS];
  const everyone = [DIRECT, ...proxies];
  const names = everyone.map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new Error(`--garter: there are two candidates of the name ${twice}`);
  const [generatorCpu, proxyCpu] = values.cpus.split(',').map((text) => parseNumber('--cpus', text));
  if (generatorCpu === undefined || proxyCpu === undefined || generatorCpu === proxyCpu) {
    throw new Error('--cpus takes two different cores: A,B');
  }
  const short = values.quick;
  const candidates = choose('--proxies', values.proxies, everyone, (name, wanted) => name === wanted);
  return {
    rounds: parseNumber('--rounds', values.rounds ?? (short ? '1' : '3')),
    cases: choose(
      '--only',
      values.only,
      CASES,
      (name, wanted) => name === wanted || name.startsWith(`${wanted}-`),
    ),
    candidates,
    first: candidates.find(({ path }) => path !== undefined)?.name,
    warmUp: short ? 0.3 : 5,
    seconds: short ? 0.7 : 2,
    rest: parseNumber('--rest', values.rest ?? (short ? '1' : '5')),
    fewer: short ? 4 : 1,
    generatorCpu,
    proxyCpu,
    json: resolve(values.json),
  };
}

function choose<Named extends { readonly name: string }>(
  option: string,
  list: string | undefined,
  from: readonly Named[],
  matches: (name: string, wanted: string) => boolean,
): readonly Named[] {
  if (list === undefined) return from;
  const wanted = list.split(',');
  const unknown = wanted.find((word) => !from.some(({ name }) => matches(name, word)));
  if (unknown !== undefined) {
    throw new Error(`${option}: there is no ${unknown}, only ${from.map(({ name }) => name).join(', ')}`);
  }
  return from.filter(({ name }) => wanted.some((word) => matches(name, word)));
}

function parseNumber(option: string, text: string): number {
  if (!/^\d{1,4}$/.test(text)) throw new Error(`${option} takes whole numbers, not ${text}`);
  return Number(text);
}
