import type { Sink } from '../sink.ts';
import { FileSink } from './file.ts';
import { LoggerSink } from './logger.ts';
import { TcpSink } from './tcp.ts';
import { UdpSink } from './udp.ts';

/**
 * `syslog`: `udp://HOST:PORT` or `tcp://HOST:PORT` with a literal address, IPv6 in brackets; or `local`, the
 * syslog of this machine.
 */
export type LogPlace = 'nowhere' | 'stderr' | { readonly file: string } | { readonly syslog: string };

const NOWHERE: Sink = { write: async (lines) => ({ taken: lines.length }), close: () => {} };

/** Throws Node's error when a file cannot be opened; other sinks connect on the first write. */
export function openSink(place: LogPlace): Sink {
  if (place === 'nowhere') return NOWHERE;
  if (place === 'stderr') return FileSink.stderr();
  if ('file' in place) return FileSink.open(place.file);
  if (place.syslog === 'local') return new LoggerSink();
  const { protocol, hostname, port } = new URL(place.syslog);
  const to = { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port) };
  return protocol === 'tcp:' ? new TcpSink(to) : new UdpSink(to);
}

/** As written in the configuration. */
export function formatLogPlace(place: LogPlace): string {
  if (place === 'nowhere' || place === 'stderr') return place;
  return 'file' in place ? place.file : `syslog ${place.syslog}`;
}
