import type { Level } from './level.ts';

/** An event of the log; it keeps its name from version to version. */
interface LogEvent {
  readonly level: Level;
  /** What happened, in a sentence. Records have none: their fields are all there is to say. */
  readonly message?: string;
}

/** Every event of the log; docs/records.md lists them. A key fits into syslog's MSGID, 32 characters. */
export const EVENTS = {
  // records
  connect: { level: 'info' },
  interim: { level: 'info' },
  disconnect: { level: 'info' },
  error: { level: 'info' },
  session: { level: 'info' },
  sessions: { level: 'info', message: 'open sessions' },
  // the server
  started: { level: 'info', message: 'started' },
  reloaded: { level: 'info', message: 'reloaded' },
  'not-reloaded': { level: 'error', message: 'the reload failed; nothing has changed' },
  configuration: { level: 'warn', message: 'the configuration has warnings' },
  ending: { level: 'info', message: 'no new connections; open sessions may finish' },
  'run-as-ignored': { level: 'warn', message: 'run-as has no effect: garter was not started by root' },
  'program-unreadable': {
    level: 'warn',
    message: 'threads that die will not be replaced: the run-as user cannot read garter itself',
  },
  'systemd-failed': { level: 'warn', message: 'could not notify systemd' },
  'control-unavailable': { level: 'warn', message: 'there is no control socket' },
  'control-failed': { level: 'error', message: 'a request of the control socket failed' },
  // logins and users
  'login-failed': { level: 'warn', message: 'login failed' },
  'users-reloaded': { level: 'info', message: 'users reloaded' },
  'users-not-reloaded': {
    level: 'error',
    message: 'the users file has mistakes; the previous users stay in force',
  },
  'users-exposed': { level: 'warn', message: 'everyone on this machine can read the users file' },
  'users-unknown': { level: 'error', message: 'users could not be asked for, they stay as they were' },
  // upstreams and TLS
  'upstream-up': { level: 'info', message: 'upstream up' },
  'upstream-down': { level: 'warn', message: 'upstream down' },
  'upstream-failed': { level: 'warn', message: 'the upstream failed' },
  'upstream-link-failed': { level: 'warn', message: 'upstream link failed' },
  'client-link-failed': { level: 'warn', message: 'client link failed' },
  'service-missed': {
    level: 'warn',
    message: 'could not look up a service; using the servers found before',
  },
  // what the machine lacks
  'descriptors-short': {
    level: 'warn',
    message: 'too few descriptors for limits: connections; raise ulimit -n or LimitNOFILE=',
  },
  'accept-failed': { level: 'warn', message: 'could not accept a connection' },
  'memory-short': { level: 'warn', message: 'memory is short; refusing new connections' },
  'memory-still-short': {
    level: 'warn',
    message:
      'memory is still short; UDP destinations are forgotten, then the sessions that hold the most are ended',
  },
  'memory-sufficient': { level: 'info', message: 'memory is sufficient again' },
  'quotas-lost': { level: 'error', message: 'the state file is damaged; quotas start again from zero' },
  'quotas-unsaved': { level: 'error', message: 'quotas cannot be saved' },
  'quotas-saved': { level: 'info', message: 'quotas can be saved again' },
  'log-failed': { level: 'error', message: 'the log cannot be written; connections continue' },
  'log-recovered': { level: 'warn', message: 'the log can be written again' },
  // faults
  'connection-failed': { level: 'error', message: 'a connection failed' },
  'subscriber-failed': { level: 'error', message: 'a subscriber of the records failed' },
  'hook-failed': { level: 'error', message: 'onRecord failed' },
  'thread-hangs': { level: 'error', message: 'a thread does not respond; it is abandoned' },
  'thread-died': { level: 'error', message: 'a thread died with its connections; starting another' },
  'thread-not-started': { level: 'error', message: 'could not start a thread' },
  // associations, for debugging
  association: { level: 'debug', message: 'what an association dropped' },
  'datagram-refused': { level: 'debug', message: 'datagram refused' },
} as const;

export type EventName = keyof typeof EVENTS;

/** The events of a level. */
export type EventOf<L extends Level> = {
  [Name in EventName]: (typeof EVENTS)[Name]['level'] extends L ? Name : never;
}[EventName];

export function messageOf(event: EventName): string | undefined {
  const { message }: LogEvent = EVENTS[event];
  return message;
}

/** The beginning of a line of text: the key, and the message unless the key already says it. */
export function headingOf(event: EventName): string {
  const message = messageOf(event);
  return message === undefined || message === event.replaceAll('-', ' ') ? event : `${event}: ${message}`;
}
