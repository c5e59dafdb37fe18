/** A number of bytes or connections: as many as the project promises with SIZE=full, which takes minutes; otherwise fewer. */
export function sized(full: number, usual: number): number {
  return process.env.SIZE === 'full' ? full : usual;
}
