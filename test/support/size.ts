/** The guaranteed size for `npm run test:full`, which takes hours; otherwise a size that suits every run. */
export function sized<const Full, const Usual>(full: Full, usual: Usual): Full | Usual {
  return process.env.SIZE === 'full' ? full : usual;
}
