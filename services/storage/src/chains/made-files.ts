/**
 * Files that are made for block operations, empty or as overlays that hold nothing yet: noted before they exist, under the
 * claim that they are made for, so that what nobody came to use is taken away, by whichever process of ours is there then.
 *
 *   <state>/made/<id>.json
 *
 * A file that holds more than it was made with goes only when its command is known to have come to nothing; what anybody uses
 * stays.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, fsync, openSync } from 'node:fs';
import { lstat, open, unlink, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { NewImage } from '@virtbus/disk-image';
import { VirtError } from '@virtbus/shared';
import { dropReplaced, makeFolder, readReplaced, replacedIn, replaceFile } from '@virtbus/shared/files';
import type { Log } from '@virtbus/shared/log';
import { systemError } from '../system-errors';
import { writeAll } from '../write-all';

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
  /** What it was made with, bytes: none when left out. What is put into it makes it longer. */
  length?: number;
  /** What it was to be made with is in it, and may be in use. */
  whole?: boolean;
}

/** Of the guest's images nobody else is to read any. */
const mode = 0o600;

export class MadeFiles {
  /** Called with the path of a file that was taken away. */
  onRemoved: (path: string) => void = () => undefined;
  private readonly notes = new Map<string, Note>();
  /** The last of what is done with a path, one after the other. */
  private readonly turns = new Map<string, Promise<unknown>>();

  constructor(
    private readonly folder: string,
    private readonly log: Log,
  ) {
    makeFolder(folder, 0o700);
    for (const name of replacedIn(folder)) {
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

  /** It was begun under this claim, and is not known to be whole. */
  isBegun({ claim }: Maker, path: string): boolean {
    return [...this.notes.values()].some((note) => note.path === path && note.claim === claim && !note.whole);
  }

  /** It was made under this claim, or begun to be. */
  isMade({ claim }: Maker, path: string): boolean {
    return [...this.notes.values()].some((note) => note.path === path && note.claim === claim);
  }

  /**
   * Make a file in a folder that is there. One that was made under the same claim is taken as it is.
   * @param target the disk it is for, for the message
   * @param content what it is made with: on disk when this resolves; an empty file when left out
   * @returns whether it is a new one
   * @throws CONFIG_UNSUPPORTED when something is there already; SYSTEM_ERROR
   */
  make(maker: Maker, path: string, target: string, content?: NewImage): Promise<boolean> {
    return this.inTurn(path, () => this.makeInTurn(maker, path, target, content));
  }

  private inTurn<T>(path: string, work: () => Promise<T>): Promise<T> {
    const done = (this.turns.get(path) ?? Promise.resolve()).then(work);
    const turn = done
      .catch(() => undefined)
      .finally(() => {
        if (this.turns.get(path) === turn) this.turns.delete(path);
      });
    this.turns.set(path, turn);
    return done;
  }

  private async makeInTurn(
    { domain, claim }: Maker,
    path: string,
    target: string,
    content?: NewImage,
  ): Promise<boolean> {
    const known = [...this.notes].find(([, note]) => note.path === path && note.claim === claim);
    const [before, there] = known ?? [];
    const isThere = there !== undefined && (await isSame(there));
    // Somebody may be writing to what is whole.
    if (isThere && (there.whole || !content)) return false;
    const id = isThere ? before! : `${randomBytes(8).toString('hex')}.json`;
    const note: Note = { version: 1, domain, claim, path, ...(content && { length: content.length }) };
    // One that a process of ours died over may have its second name alone.
    this.keep(id, isThere ? there : note);
    // Both are flushed side by side. A file system takes names in their order: where the file's comes to disk, the note's does.
    // Opened in this turn: while it is kept again it has neither name for a moment.
    const noted = flush(openSync(join(this.folder, id), 'r'));
    noted.catch(() => undefined);
    try {
      const file = await open(path, isThere ? 'r+' : 'wx', mode);
      try {
        // Nothing was there: what others had made here is gone, and this one may have got the number that it had.
        if (!isThere) this.forgetOthers(path, id);
        const { dev, ino } = await file.stat();
        const identified = { ...note, file: { dev, ino } };
        this.keep(id, identified);
        if (content) {
          // An empty one is flushed by whoever writes to it, and its name with it.
          await write(file, content);
          this.keep(id, { ...identified, whole: true });
        }
        await noted;
        return !isThere;
      } finally {
        await file.close();
      }
    } catch (error) {
      await noted.catch(() => undefined);
      if (!isThere) await this.takeBack(id);
      throw (error as NodeJS.ErrnoException).code === 'EEXIST' ? isThereAlready(path, target) : cannotMake(path, error);
    }
  }

  /** It could not be made. */
  private async takeBack(id: string): Promise<void> {
    const note = this.notes.get(id);
    if (note?.file && (await isSame(note))) await unlink(note.path).catch(() => undefined);
    this.forget(id);
  }

  /** A guest stands on these: whatever they hold, they are its own from now on. */
  taken(domain: string, paths: ReadonlySet<string>): void {
    for (const [id, note] of [...this.notes]) if (note.domain === domain && paths.has(note.path)) this.forget(id);
  }

  /**
   * These claims are over.
   * @param undone their commands came to nothing; otherwise only what is still as it was made is for nothing
   */
  async over(
    { domain, claims }: { domain: string; claims: readonly string[] },
    undone: boolean,
    isUsed: (path: string) => Promise<boolean>,
  ): Promise<void> {
    for (const [id, { domain: of, claim, path }] of [...this.notes]) {
      if (of !== domain || !claims.includes(claim)) continue;
      await this.inTurn(path, () => this.overInTurn(id, undone, isUsed)).catch((err: unknown) => {
        this.log.warn({ err, path }, 'a file that was made for nothing cannot be removed');
      });
    }
  }

  private async overInTurn(id: string, undone: boolean, isUsed: (path: string) => Promise<boolean>): Promise<void> {
    const note = this.notes.get(id);
    if (!note) return;
    const { path, domain, length = 0 } = note;
    const size = await sizeOf(note);
    const useless = size !== undefined && (size <= length || undone);
    if (useless && !(await isUsed(path)) && this.notes.has(id)) {
      await unlink(path);
      this.onRemoved(path);
      this.log.info({ path, domain }, 'a file that was made for nothing is removed');
    }
    this.forget(id);
  }

  private keep(id: string, note: Note): void {
    replaceFile(join(this.folder, id), JSON.stringify(note), false);
    this.notes.set(id, note);
  }

  private forgetOthers(path: string, but: string): void {
    for (const [id, note] of [...this.notes]) if (note.path === path && id !== but) this.forget(id);
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

/** A file that was written before is on disk when this resolves. It is closed then. */
const flush = (file: number): Promise<void> => promisify(fsync)(file).finally(() => closeSync(file));

/** On disk when it resolves. */
async function write(file: FileHandle, { length, pieces }: NewImage): Promise<void> {
  await file.truncate(length);
  await Promise.all(pieces.map(({ offset, bytes }) => writeAll(file, bytes, offset)));
  await file.sync();
}

const isSame = async (note: Note): Promise<boolean> => (await sizeOf(note)) !== undefined;

function isThereAlready(path: string, target: string): VirtError {
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
