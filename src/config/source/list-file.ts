import { parseIp, withoutZone } from '../../wire/ip.ts';
import { excerpt } from './excerpt.ts';
import type { Problem } from './problem.ts';
import { ValueError } from './value-error.ts';

/** Mistakes of one file that are reported. */
const SHOWN = 20;
/** The names of the machine itself, with which hosts files begin. */
const OWN_NAMES =
  /^(0\.0\.0\.0|broadcasthost|local|localhost|localhost\.localdomain|(ip6-)?(localhost|loopback|localnet|mcastprefix|allnodes|allrouters|allhosts)|ip6-.*)$/;

export interface ListEntries<T> {
  readonly entries: readonly T[];
  readonly problems: readonly Problem[];
}

/**
 * Reads a list: one entry a line, after `#` or `;` a comment. `takesHosts`: a line can also be one of
 * hosts(5), an address and the names that are meant. `*.example.com` is `.example.com`. `parse` throws a
 * ValueError. `most`: the number of entries for which there is room.
 */
export function readList<T>(
  text: string,
  file: string,
  parse: (entry: string) => T,
  takesHosts: boolean,
  most: number,
): ListEntries<T> {
  const entries: T[] = [];
  const problems: Problem[] = [];
  let number = 0;
  for (const line of text.split('\n')) {
    number++;
    const words = wordsOf(line);
    if (words.length === 0) continue;
    const isHosts = takesHosts && words.length > 1 && parseIp(withoutZone(words[0]!)) !== undefined;
    const meant = isHosts ? words.slice(1).filter((word) => !OWN_NAMES.test(word.toLowerCase())) : words;
    try {
      if (!isHosts && words.length > 1)
        throw new ValueError('there are several words on this line', 'write one entry a line');
      for (const word of meant) entries.push(parse(word.startsWith('*.') ? word.slice(1) : word));
      if (entries.length > most)
        throw new ValueError('the lists are too long here', 'all together can have 1,000,000 entries');
    } catch (error) {
      if (!(error instanceof ValueError)) throw error;
      problems.push(problemAt(error, line, number, file));
      if (problems.length === SHOWN || entries.length > most) break;
    }
  }
  return { entries, problems };
}

function wordsOf(line: string): readonly string[] {
  const written = /[#;]/.test(line) ? line.replace(/(^|\s)[#;].*/, '') : line;
  const trimmed = written.trim();
  return trimmed === '' ? [] : trimmed.split(/\s+/);
}

function problemAt({ message, remedy }: ValueError, line: string, number: number, file: string): Problem {
  const start = line.search(/\S/);
  const end = start + wordsOf(line).join(' ').length;
  return {
    where: file,
    line: number,
    column: start + 1,
    excerpt: excerpt(line, number, { start, end }, []),
    message,
    remedy,
  };
}
