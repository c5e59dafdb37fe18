/** Something wrong in a configuration: what, where, and what to write instead. */
export interface Problem extends Place {
  /** The keys and list positions that lead to it; a file that cannot be read has none. */
  readonly path?: Path;
  readonly message: string;
  readonly remedy: string;
}

export interface Place {
  /** The file as it was named, the flag or variable (`--listen`, `GARTER_USERS`), or the path in an object (`rules[2].to[0]`). */
  readonly where: string;
  /** Both count from 1; only a file has them. */
  readonly line?: number;
  readonly column?: number;
  /** The line, with its secrets masked, and carets below what is meant. */
  readonly excerpt?: string;
}

/** Nobody reads more. */
export const PROBLEMS_LIMIT = 1000;
const SHOWN = 100;

/** The keys and list positions that lead to a value. */
export type Path = readonly (string | number)[];

/** What was made of the value at a path. */
export interface Placed<T> {
  readonly made: T;
  readonly path: Path;
}

/** Takes note of a problem with the value at a path; `on: 'key'` means the key itself. */
export type Report = (path: Path, message: string, remedy: string, on?: 'key') => void;

export interface Reports {
  /** Stops the start. */
  readonly error: Report;
  readonly warning: Report;
}

/** The problems as lines of text, in order; of very many, the first. */
export function formatProblems(problems: readonly Problem[], severity: 'error' | 'warning'): string {
  const shown = problems.slice(0, SHOWN).map((problem) => formatProblem(problem, severity));
  if (problems.length > SHOWN) shown.push('and more');
  return shown.map((text) => `${text}\n`).join('');
}

/** One problem: `file:line:column: error: message`, the excerpt, the remedy; without the end of its last line. */
export function formatProblem(problem: Problem, severity: 'error' | 'warning'): string {
  const { where, line, column, excerpt, message, remedy } = problem;
  const place = [where, line, column].filter((part) => part !== undefined).join(':');
  const shown = excerpt === undefined ? '' : `${excerpt}\n`;
  return `${escape(place)}: ${severity}: ${escape(message)}\n${shown}    ${escape(remedy)}`;
}

/** What a file says reaches a terminal: nothing of it may move the cursor or end the line. */
function escape(text: string): string {
  return text.replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, (one) =>
    JSON.stringify(one)
      .slice(1, -1)
      .replaceAll(/[^ -~]/g, hex),
  );
}

function hex(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** By line and column; what has none, first. */
export function sortProblems(problems: readonly Problem[]): Problem[] {
  return problems.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0));
}

/** A path as JavaScript writes it: `rules[2].to[0]`. */
export function formatPath(path: Path): string {
  const steps = path.map((step) => {
    if (typeof step === 'number') return `[${step}]`;
    return /^\w[\w-]*$/.test(step) ? `.${step}` : `[${JSON.stringify(step)}]`;
  });
  return steps.join('').replace(/^\./, '');
}
