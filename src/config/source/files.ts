import { dirname, join, resolve } from 'node:path';

/** The files of a configuration: relative paths start from its folder. */
export class Files {
  readonly #folder: string;
  readonly #read = new Set<string>();

  /** `file`: the configuration as given; without one, paths start from the working directory. */
  constructor(file: string | undefined) {
    this.#folder = file === undefined ? '' : dirname(file);
    if (file !== undefined) this.#read.add(resolve(file));
  }

  /** The absolute paths of all files whose content is part of the settings. */
  get read(): readonly string[] {
    return [...this.#read];
  }

  /** The absolute path. */
  path(written: string): string {
    return resolve(this.#folder, written);
  }

  /** The path of a file that is about to be read. */
  reads(written: string): string {
    const path = this.path(written);
    this.#read.add(path);
    return path;
  }

  /** The path for messages: from the working directory, as that of the configuration is. */
  shown(written: string): string {
    return written.startsWith('/') ? written : join(this.#folder, written);
  }
}
