/** The code of an error from Node, an engine or the resolver; `undefined` if it has none. */
export function codeOf(error: unknown): Uppercase<string> | undefined {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === 'string' ? (code as Uppercase<string>) : undefined;
}
