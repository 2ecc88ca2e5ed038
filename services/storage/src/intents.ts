/**
 * What commands are about to do, on disk before the deed: how to tell afterwards whether it was done. A process that dies over
 * one, or whose answer could not be kept, leaves that for the next one, which the same command id reaches.
 *
 *   <state>/begun/<id>.json
 */
import { join } from 'node:path';
import type { Call } from '@virtbus/shared/bus';
import { KeptFiles } from './kept-files';

type Of = Pick<Call, 'id'>;

export class Intents {
  private readonly files: KeptFiles;

  constructor(stateFolder: string) {
    this.files = new KeptFiles(join(stateFolder, 'begun'));
  }

  /** Throws SYSTEM_ERROR where it cannot be noted: nothing is done then. */
  begin(call: Of, intent: object): void {
    this.files.write(call.id, JSON.stringify(intent), true);
  }

  /** Of what ends something: where there is no room for a note, it may be what makes some. */
  beginIfRoom(call: Of, intent: object): void {
    try {
      this.begin(call, intent);
    } catch {
      // Done twice it finds nothing to do, and is told that.
    }
  }

  /** What was noted for the command before: it may have been done. */
  begun<T extends object>(call: Of): T | undefined {
    try {
      return JSON.parse(this.files.read(call.id) ?? '') as T;
    } catch {
      return undefined;
    }
  }

  /** Its answer is kept. */
  over(id: string): void {
    this.files.drop(id);
  }
}
