/** A part of a text; `end` is exclusive. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** Keys whose values are secrets. */
export const SECRET_KEYS: ReadonlySet<string> = new Set(['password', 'secret', 'token']);

// What only says where a secret is, ${NAME} or { file: path }, is shown.
const URL_PASSWORD = /(?<=:\/\/[^\s:@/]*:)(?!\$\{\w+\}@[^@]*$).+(?=@)/g;
const NAMED_SECRET = /(?<=\b(?:password|secret|token)["']?\s*:\s*)(?!\s|["']?\$\{\w+\}|\{\s*file\s*:).+$/g;

/** Where a line shows a secret, as far as the line itself can tell. */
export function secretsInLine(line: string): Range[] {
  return [URL_PASSWORD, NAMED_SECRET].flatMap((pattern) =>
    Array.from(line.matchAll(pattern), ({ index, 0: text }) => ({ start: index, end: index + text.length })),
  );
}

/** The text with the password of every URL replaced. */
export function maskUrls(text: string): string {
  return text.replaceAll(URL_PASSWORD, '***');
}
