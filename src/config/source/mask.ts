/** A part of a text; `end` is exclusive. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** Keys whose values are secrets. */
export const SECRET_KEYS: ReadonlySet<string> = new Set(['password', 'secret', 'token']);

// A user name may have an @ in it, a URL that is none any number of slashes, and a unix socket a path.
const LOGIN = String.raw`(?:[\w}]:\/\/(?!localhost\/)|\b(?:socks(?:4a?|5h?)|https?)(?:\+tls)?:\/?(?!\/))[^:"']*:`;
// What only says where a secret is, ${NAME} or { file: path }, is shown.
const URL_PASSWORD = new RegExp(String.raw`(?<=${LOGIN})(?!\$\{\w+\}@[^@]*$).+(?=@)`, 'gis');
const NAMED_SECRET = /(?<=\b(?:password|secret|token)["']?\s*:\s*)(?!\s|["']?\$\{\w+\}|\{\s*file\s*:).+$/g;

/** Where a line shows a secret, as far as the line itself can tell. */
export function secretsInLine(line: string): Range[] {
  return [URL_PASSWORD, NAMED_SECRET].flatMap((pattern) =>
    Array.from(line.matchAll(pattern), ({ index, 0: text }) => ({ start: index, end: index + text.length })),
  );
}

/** The password of a URL, or of what looks like one. */
export function passwordIn(url: string): string | undefined {
  return new RegExp(String.raw`${LOGIN}(.+)@`, 'is').exec(url)?.[1];
}

/** The text with the password of every URL replaced. */
export function maskUrls(text: string): string {
  return text.replaceAll(URL_PASSWORD, '***');
}
