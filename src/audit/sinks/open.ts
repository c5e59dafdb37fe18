import type { Sink } from '../sink.ts';
import { FileSink } from './file.ts';
import { LoggerSink } from './logger.ts';
import type { Facility } from './syslog.ts';
import { TcpSink } from './tcp.ts';
import { UdpSink } from './udp.ts';

export type LogPlace = 'stderr' | 'stdout' | { readonly file: string } | SyslogPlace;

export interface SyslogPlace {
  /**
   * `udp://HOST:PORT` or `tcp://HOST:PORT` with a literal address, IPv6 in brackets; or `local`, the syslog of this
   * machine.
   */
  readonly syslog: string;
  /** @default 'daemon' */
  readonly facility?: Facility;
}

/** Throws Node's error when a file cannot be opened; other sinks connect on the first write. */
export function openSink(place: LogPlace): Sink {
  if (place === 'stderr' || place === 'stdout') return FileSink.standard(place);
  if ('file' in place) return FileSink.open(place.file);
  const { syslog, facility = 'daemon' } = place;
  if (syslog === 'local') return new LoggerSink(facility);
  const { protocol, hostname, port } = new URL(syslog);
  const to = { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port) };
  return protocol === 'tcp:' ? new TcpSink(to, facility) : new UdpSink(to, facility);
}

/** As written in the configuration. */
export function formatLogPlace(place: LogPlace): string {
  if (typeof place === 'string') return place;
  if ('file' in place) return place.file;
  const { syslog, facility } = place;
  return facility === undefined ? `syslog ${syslog}` : `syslog ${syslog} ${facility}`;
}
