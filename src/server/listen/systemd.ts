/** The first descriptor that systemd passes (sd_listen_fds(3)). */
const FIRST = 3;
/** More than anybody passes. */
const MAX_DESCRIPTORS = 1024;

/** Numbers that a listener has had: once it is closed, the number is somebody else's. */
const taken = new Set<number>();

/**
 * The sockets that systemd has passed under a name (`FileDescriptorName=` of the socket unit, which is the unit's own name
 * without one), or all of them; each once. Throws when there is none.
 */
export function activatedSockets(name: string): { readonly fd: number }[] {
  const { LISTEN_PID, LISTEN_FDS = '', LISTEN_FDNAMES = '' } = process.env;
  const count = LISTEN_PID === String(process.pid) && /^\d+$/.test(LISTEN_FDS) ? Number(LISTEN_FDS) : 0;
  const place = name === '' ? 'systemd' : `systemd:${name}`;
  if (count > MAX_DESCRIPTORS)
    throw new Error(
      `${place}: LISTEN_FDS is ${LISTEN_FDS}, and more than ${MAX_DESCRIPTORS} are not believed`,
    );
  const names = LISTEN_FDNAMES.split(':');
  const found = Array.from({ length: count }, (_, i) => i)
    .filter((i) => name === '' || names[i] === name)
    .map((i) => FIRST + i);
  if (found.length === 0) {
    const passed = count === 0 ? 'systemd has passed no socket' : `systemd has passed ${names.join(', ')}`;
    throw new Error(`${place}: ${passed}; is the socket unit started?`);
  }
  const again = found.find((fd) => taken.has(fd));
  if (again !== undefined) {
    throw new Error(
      `${place}: descriptor ${again} has been used for a listener before; systemd passes each once`,
    );
  }
  for (const fd of found) taken.add(fd);
  return found.map((fd) => ({ fd }));
}
