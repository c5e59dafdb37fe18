/** A part of a text; `end` is exclusive. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** Keys whose values are secrets. */
export const SECRET_KEYS: ReadonlySet<string> = new Set(['password', 'secret', 'token']);

// A user name may contain @, a malformed URL any number of slashes, and a unix socket a path.
const LOGIN = String.raw`(?:[\w}]:\/\/(?!localhost\/)|\b(?:socks(?:4a?|5h?)|https?)(?:\+tls)?:\/?(?!\/))[^:"']*:`;
// References to a secret, ${NAME} or { file: path }, are not masked.
const URL_PASSWORD = new RegExp(String.raw`(?<=${LOGIN})(?!\$\{\w+\}@[^@]*$).+(?=@)`, 'gis');
const NAMED_SECRET = /(?<=\b(?:password|secret|token)["']?\s*:\s*)(?!\s|["']?\$\{\w+\}|\{\s*file\s*:).+$/g;

/** The secrets that can be recognised within a single line. */
export function secretsInLine(line: string): Range[] {
  return [URL_PASSWORD, NAMED_SECRET].flatMap((pattern) =>
    Array.from(line.matchAll(pattern), ({ index, 0: text }) => ({ start: index, end: index + text.length })),
  );
}

/** The password in a URL, or in text that looks like one. */
export function passwordIn(url: string): string | undefined {
  return new RegExp(String.raw`${LOGIN}(.+)@`, 'is').exec(url)?.[1];
}

/** Replaces the password of every URL in the text. */
export function maskUrls(text: string): string {
  return text.replaceAll(URL_PASSWORD, '***');
}
