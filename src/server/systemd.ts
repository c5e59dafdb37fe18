/** The first descriptor that systemd passes (sd_listen_fds(3)). */
const FIRST = 3;

/**
 * The sockets that systemd has passed under a name (`FileDescriptorName=` of the socket unit, which is the unit's own name
 * without one), or all of them. Throws when there is none.
 */
export function activatedSockets(name: string): { readonly fd: number }[] {
  const { LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES = '' } = process.env;
  const count = LISTEN_PID === String(process.pid) ? Number(LISTEN_FDS) || 0 : 0;
  const names = LISTEN_FDNAMES.split(':');
  const found = Array.from({ length: count }, (_, i) => i)
    .filter((i) => name === '' || names[i] === name)
    .map((i) => ({ fd: FIRST + i }));
  if (found.length > 0) return found;
  const passed = count === 0 ? 'systemd has passed no socket' : `systemd has passed ${names.join(', ')}`;
  throw new Error(`systemd${name && `:${name}`}: ${passed}; is the socket unit started?`);
}
