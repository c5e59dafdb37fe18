/** What the project promises in `npm run test:full`, which takes hours; elsewhere what is enough for every run. */
export function sized<const Full, const Usual>(full: Full, usual: Usual): Full | Usual {
  return process.env.SIZE === 'full' ? full : usual;
}
