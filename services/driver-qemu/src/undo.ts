/** What was done so far, to be taken back when what follows fails. */
import type { Log } from '@virtbus/shared/log';

export type Undo = (() => unknown)[];

/** The last first. What cannot be taken back is logged, and keeps nothing else from being taken back. */
export async function takeBack(undo: Undo, log: Log): Promise<void> {
  for (const back of undo.splice(0).reverse()) {
    try {
      await back();
    } catch (err) {
      log.warn({ err }, 'cannot take back what was begun');
    }
  }
}
