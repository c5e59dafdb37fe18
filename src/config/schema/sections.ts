import type { CommandWord } from '../input/values.ts';
import type { LogSettings } from '../../audit/log.ts';
import type { EngineName } from '../../net/choose.ts';
import type { Endpoint } from '../../wire/address.ts';
import type { LogKind, Method, PortRange, Protocol, Rate } from '../../policy/policy.ts';
import type { Family } from '../../resolve/resolver.ts';
import type { NameServer } from '../../resolve/system.ts';
import type { EarlyDrop, ResolveOrder, Settings } from '../../server/settings.ts';
import type { WithFiles } from './conditions.ts';
import type { ListenAddress } from './listen-address.ts';
import type { RouteSection, UpstreamSection } from './routes.ts';
import type { TlsSection } from './tls.ts';

/** The sections of a configuration as written: parsed, but without defaults. */
export interface Sections {
  readonly users: Users;
  readonly upstreams: Readonly<Record<string, UpstreamSection>>;
  readonly resolve: Partial<ResolveSection>;
  readonly nat64: readonly string[];
  readonly timeouts: TimeoutsSection;
  readonly log: LogSection;
  readonly limits: LimitsSection;
  readonly state: string;
  readonly health: Endpoint;
  readonly pac: boolean;
  readonly 'run-as': string;
  readonly 'pid-file': string;
  readonly control: string | false;
  readonly revoke: Revoke;
  readonly engine: EngineName;
  readonly workers: Settings['workers'];
}

/** The sections that are lists, with the type of their entries. */
export interface Lists {
  readonly listen: ListenerSection;
  readonly accept: WithFiles<AcceptSection>;
  readonly rules: WithFiles<RuleSection>;
  readonly routes: WithFiles<RouteSection>;
}

export interface LogSection extends Partial<LogSettings> {
  readonly interim?: number;
}

export interface Users {
  readonly file?: string;
  readonly name?: string;
  readonly password?: string | { readonly file: string };
}

export interface LimitsSection {
  readonly connections?: number;
  readonly 'per-address'?: number;
  readonly unauthenticated?: EarlyDrop;
  readonly memory?: number;
}

export interface ListenerSection {
  readonly name?: string;
  readonly address: ListenAddress;
  readonly mode?: number;
  readonly interface?: string;
  readonly 'proxy-protocol'?: ProxyProtocolSection;
  readonly protocols?: readonly Protocol[];
  readonly methods?: readonly Method[];
  readonly tls?: TlsSection;
  readonly udp?: UdpSection;
  readonly bind?: BindSection;
  readonly resolve?: ResolveOrder;
}

export interface ProxyProtocolSection {
  readonly from: readonly string[];
}

export interface BindSection {
  readonly ports?: PortRange;
  readonly advertise?: Readonly<Record<string, string>>;
}

export interface UdpSection {
  readonly port?: number;
  readonly ports?: PortRange;
  readonly advertise?: Readonly<Record<string, string>>;
  readonly replies?: 'peers' | 'any';
  readonly 'declared-port'?: 'require' | 'hint';
}

export interface AcceptSection {
  readonly name?: string;
  readonly allow: boolean;
  readonly listener?: readonly string[];
  readonly from?: readonly string[];
  readonly methods?: readonly Method[];
}

/** Exactly one of `allow` and `deny`, which the schema cannot express. */
export interface RuleSection {
  readonly name?: string;
  readonly allow?: readonly CommandWord[];
  readonly deny?: readonly CommandWord[];
  readonly listener?: readonly string[];
  readonly from?: readonly string[];
  readonly user?: readonly string[];
  readonly to: readonly string[];
  readonly port?: readonly PortRange[];
  readonly 'source-port'?: readonly PortRange[];
  readonly protocol?: readonly Protocol[];
  readonly method?: readonly Method[];
  readonly when?: WhenSection;
  readonly limit?: RuleLimitsSection;
  readonly log?: readonly LogKind[];
  readonly revoke?: Revoke;
}

export interface WhenSection {
  readonly days?: readonly (readonly number[])[];
  readonly hours?: { readonly start: number; readonly end: number };
  readonly zone?: string;
}

export interface RuleLimitsSection {
  readonly sessions?: number;
  readonly 'sessions-per-user'?: number;
  readonly 'sessions-per-address'?: number;
  readonly rate?: Rate;
  readonly 'rate-per-address'?: Rate;
  readonly bandwidth?: number;
  readonly 'bandwidth-per-session'?: number;
  readonly 'quota-per-user'?: number;
  readonly duration?: number;
  readonly idle?: number;
}

export type Revoke = 'close' | 'keep';

export interface ResolveSection {
  readonly servers: readonly NameServer[];
  readonly hosts: Readonly<Record<string, readonly string[]>>;
  readonly family: Family;
  readonly timeout: number;
}

export type TimeoutsSection = Partial<
  Record<'handshake' | 'connect' | 'bind' | 'idle' | 'half-close' | 'udp-idle' | 'drain', number>
>;
