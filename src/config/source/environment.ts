import { ValueError } from './value-error.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** Replaces `${NAME}` by environment variables. Throws a ValueError for a variable that is not set. */
export function expand(text: string, environment: Environment): string {
  return text.replaceAll(/\$\{([^}]*)\}?/g, (written: string, name: string) => {
    if (!/^[A-Za-z_]\w*\}$/.test(written.slice(2))) {
      throw new ValueError(`${written} is not a variable`, 'write ${NAME} with letters, digits and _');
    }
    const value = environment[name];
    if (value === undefined)
      throw new ValueError(`${name} is not set in the environment`, `set ${name} before garter starts`);
    return value;
  });
}
