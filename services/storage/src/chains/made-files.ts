/**
 * Empty files that are made for block operations: noted on disk before they exist, under the claim that they are made for,
 * so that what nobody came to use is taken away, by whichever process of ours is there then.
 *
 *   <state>/made/<id>.json
 *
 * A file that holds something goes only when its command is known to have come to nothing; what anybody uses stays.
 */
import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { lstat, open, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { VirtError } from '@virtbus/shared';
import { dropReplaced, makeFolder, readReplaced, replaceFile } from '@virtbus/shared/files';
import type { Log } from '@virtbus/shared/log';
import { systemError } from '../system-errors';

/** Whom a file is made for. */
export interface Maker {
  domain: string;
  claim: string;
}

interface Note extends Maker {
  version: 1;
  path: string;
  /** The very file; absent when we died in between. */
  file?: { dev: number; ino: number };
}

/** Of the guest's images nobody else is to read any. */
const mode = 0o600;

export class MadeFiles {
  private readonly notes = new Map<string, Note>();

  constructor(
    private readonly folder: string,
    private readonly log: Log,
  ) {
    makeFolder(folder, 0o700);
    const names = new Set(readdirSync(folder).map((name) => name.replace(/\.new$/, '')));
    for (const name of names) {
      const note = readNote(readReplaced(join(folder, name)));
      if (note) this.notes.set(name, note);
      else
        log.error({ file: join(folder, name) }, 'a note of a file that was made cannot be read; it is left as it is');
    }
  }

  /** Who has files that may still be for nothing. */
  get makers(): readonly Maker[] {
    return [...this.notes.values()];
  }

  /**
   * Make an empty file in a folder that is there. One that was made under the same claim is taken as it is.
   * @param target the disk it is for, for the message
   * @throws CONFIG_UNSUPPORTED when something is there already; SYSTEM_ERROR
   */
  async make({ domain, claim }: Maker, path: string, target: string): Promise<void> {
    const before = [...this.notes.values()].find((note) => note.path === path && note.claim === claim);
    if (before && (await isSame(before))) return;
    const id = `${randomBytes(8).toString('hex')}.json`;
    const note: Note = { version: 1, domain, claim, path };
    this.keep(id, note, true);
    try {
      const file = await open(path, 'wx', mode);
      try {
        // Whoever writes to it flushes it, and its name with it: empty it is worth no wait for the disk.
        const { dev, ino } = await file.stat();
        // A power cut that takes this leaves a note that still knows an empty file by its name.
        this.keep(id, { ...note, file: { dev, ino } }, false);
      } finally {
        await file.close();
      }
    } catch (error) {
      this.forget(id);
      throw (error as NodeJS.ErrnoException).code === 'EEXIST' ? isThere(path, target) : cannotMake(path, error);
    }
  }

  /**
   * These claims are over.
   * @param undone their commands came to nothing; otherwise only what is still empty is for nothing
   */
  async over(
    { domain, claims }: { domain: string; claims: readonly string[] },
    undone: boolean,
    isUsed: (path: string) => Promise<boolean>,
  ): Promise<void> {
    for (const [id, note] of [...this.notes]) {
      if (note.domain !== domain || !claims.includes(note.claim)) continue;
      try {
        const size = await sizeOf(note);
        const useless = size !== undefined && (size === 0 || undone);
        if (useless && !(await isUsed(note.path))) {
          await unlink(note.path);
          this.log.info({ path: note.path, domain }, 'a file that was made for nothing is removed');
        }
        this.forget(id);
      } catch (err) {
        this.log.warn({ err, path: note.path }, 'a file that was made for nothing cannot be removed');
      }
    }
  }

  private keep(id: string, note: Note, durable: boolean): void {
    replaceFile(join(this.folder, id), JSON.stringify(note), durable);
    this.notes.set(id, note);
  }

  private forget(id: string): void {
    dropReplaced(join(this.folder, id));
    this.notes.delete(id);
  }
}

/** Length of the file if it is the one that was made; where we died before we knew which, an empty one is. */
async function sizeOf({ path, file }: Note): Promise<number | undefined> {
  const now = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
    throw error;
  });
  if (!now?.isFile()) return undefined;
  if (!file) return now.size === 0 ? 0 : undefined;
  return now.dev === file.dev && now.ino === file.ino ? now.size : undefined;
}

const isSame = async (note: Note): Promise<boolean> => (await sizeOf(note)) !== undefined;

function isThere(path: string, target: string): VirtError {
  const detail = `external destination file for disk ${target} already exists and is not a block device: ${path}; choose another name, remove the file, or ask to reuse it`;
  return new VirtError('CONFIG_UNSUPPORTED', { detail });
}

function cannotMake(path: string, error: unknown): VirtError {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') return systemError(`create ${path}`, error);
  const detail = `cannot create ${path}: there is no folder ${dirname(path)}; make it first`;
  return new VirtError('SYSTEM_ERROR', { detail }, { cause: error });
}

function readNote(text: string | undefined): Note | undefined {
  try {
    const note = JSON.parse(text ?? '') as Note | null;
    return note?.version === 1 && typeof note.path === 'string' ? note : undefined;
  } catch {
    return undefined;
  }
}
