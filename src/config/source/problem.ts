/** A problem in a configuration: what it is, where it is, and what to write instead. */
export interface Problem extends Place {
  /** The keys and list positions that lead to it; absent for a file that cannot be read. */
  readonly path?: Path;
  readonly message: string;
  readonly remedy: string;
}

export interface Place {
  /**
   * The file name as given, the flag or variable (`--listen`, `GARTER_USERS`), or the path in an object
   * (`rules[2].to[0]`).
   */
  readonly where: string;
  /** Both count from 1; only for files. */
  readonly line?: number;
  readonly column?: number;
  /** The line, with secrets masked, and carets below the relevant part. */
  readonly excerpt?: string;
}

/** More would not be read. */
export const PROBLEMS_LIMIT = 1000;
const SHOWN = 100;

/** The keys and list positions that lead to a value. */
export type Path = readonly (string | number)[];

/** An object built from the value at a path. */
export interface Placed<T> {
  readonly made: T;
  readonly path: Path;
}

/** Reports a problem with the value at a path; `on: 'key'` refers to its key. */
export type Report = (path: Path, message: string, remedy: string, on?: 'key') => void;

export interface Reports {
  /** Prevents the start. */
  readonly error: Report;
  readonly warning: Report;
  /** Reports an error in another file, such as a list. */
  readonly problem: (problem: Problem) => void;
  /** Whether part of a section is in list files, which others may change. */
  readonly isListed: (section: Path) => boolean;
}

/** Formats the problems as lines of text, in order; only the first if there are too many. */
export function formatProblems(problems: readonly Problem[], severity: 'error' | 'warning'): string {
  const shown = problems.slice(0, SHOWN).map((problem) => formatProblem(problem, severity));
  if (problems.length > SHOWN) shown.push('and more');
  return shown.map((text) => `${text}\n`).join('');
}

/**
 * Formats one problem: `file:line:column: error: message`, the excerpt, the remedy; without a final newline.
 */
export function formatProblem(problem: Problem, severity: 'error' | 'warning'): string {
  const { where, line, column, excerpt, message, remedy } = problem;
  const place = [where, line, column].filter((part) => part !== undefined).join(':');
  const shown = excerpt === undefined ? '' : `${excerpt}\n`;
  return `${escape(place)}: ${severity}: ${escape(message)}\n${shown}    ${escape(remedy)}`;
}

/** Text from the file is printed on a terminal: it must not move the cursor or end the line. */
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

/** Sorts by line and column; problems without a position come first. */
export function sortProblems(problems: readonly Problem[]): Problem[] {
  return problems.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0));
}

/** A path in JavaScript syntax: `rules[2].to[0]`. */
export function formatPath(path: Path): string {
  const steps = path.map((step) => {
    if (typeof step === 'number') return `[${step}]`;
    return /^\w[\w-]*$/.test(step) ? `.${step}` : `[${JSON.stringify(step)}]`;
  });
  return steps.join('').replace(/^\./, '');
}
