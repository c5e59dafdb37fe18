import type { Change } from './change.ts';
import type { Settings } from './settings.ts';

/** What is opened and closed with a server and changes with its settings, but serves no clients. */
export interface Attachment extends AsyncDisposable {
  /** Rejects, without visible effect, when these settings cannot be applied. */
  prepare(settings: Settings): Promise<Change>;
}
