/** The code of an error that Node, an engine or the resolver made; `undefined` for what has none. */
export function codeOf(error: unknown): Uppercase<string> | undefined {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === 'string' ? (code as Uppercase<string>) : undefined;
}
