/**
 * Folders of the host that containers could write. A container's root can put links there, and whoever opens a path through one of them on
 * the host is led anywhere: what lies below such a folder is opened through folders alone. Elsewhere links are the operator's.
 *
 * The folders are written down and never forgotten: a link outlives the container that has made it.
 */
import { closeSync, fstatSync, readlinkSync } from 'node:fs';
import type { Filesystem } from '@virtbus/domain-xml';
import { VirtError } from '@virtbus/shared';
import { readReplaced, replaceFile } from '@virtbus/shared/files';
import type { Log } from '@virtbus/shared/log';
import { openInside } from './inside';
import { follow, linkAt } from './paths';

/** open(2): no reading, no writing, no waiting; Node has no name for it. */
const O_PATH = 0x200000;

export interface Opened extends Disposable {
  /** Leads to what was opened, whatever its own path leads to by now. */
  path: string;
}

export class GivenFolders {
  private readonly folders: Set<string>;
  /** How many of them are on disk. */
  private written: number;

  /** @param file where they are written down */
  constructor(
    private readonly file: string,
    log: Log,
  ) {
    this.folders = new Set(read(file, log));
    this.written = this.folders.size;
  }

  /** Before the container runs. Throws `SYSTEM_ERROR` where that cannot be written down; they are known to this process all the same. */
  give(filesystems: readonly Filesystem[]): void {
    for (const { type, source, target, readonly } of filesystems) {
      if (source?.dir === undefined || readonly || (type !== 'mount' && target?.dir !== '/')) continue;
      const folder = this.realPath(source.dir);
      // Who has all of the host is led nowhere.
      if (folder !== '/') this.folders.add(folder);
    }
    if (this.folders.size === this.written) return;
    try {
      replaceFile(this.file, JSON.stringify([...this.folders]), true);
      this.written = this.folders.size;
    } catch (cause) {
      const detail = `cannot write down which folders containers can write: ${(cause as Error).message}`;
      throw new VirtError('SYSTEM_ERROR', { detail }, { cause });
    }
  }

  /**
   * What lies below such a folder, open; undefined elsewhere. Throws `SYSTEM_ERROR` for a link on the way.
   * @param path of the host, without `..`
   */
  open(path: string): Opened | undefined {
    const { at, left } = this.way(path);
    if (left.length === 0) return undefined;
    try {
      if (left.includes('..')) throw Object.assign(new Error(), { code: 'ELOOP' });
      const fd = openInside(at, left.join('/'), O_PATH);
      const opened = { path: `/proc/${process.pid}/fd/${fd}`, [Symbol.dispose]: () => closeSync(fd) };
      if (!fstatSync(fd).isSymbolicLink()) return opened;
      opened[Symbol.dispose]();
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ELOOP' && code !== 'ENOTDIR') throw error;
    }
    const detail = `'${path}' leads through a link in '${at}', where a container can put links: name the folder that it is to be`;
    throw new VirtError('SYSTEM_ERROR', { detail });
  }

  /** Throws `SYSTEM_ERROR` for what lies below such a folder. @param what that the host opens there: `an image` */
  mustNotHold(path: string, what: string): void {
    const { at, left } = this.way(path);
    if (left.length === 0) return;
    const detail = `${what}, '${path}', lies in '${at}', where a container can put anything in its place: move it elsewhere`;
    throw new VirtError('SYSTEM_ERROR', { detail });
  }

  private realPath(path: string): string {
    using opened = this.open(path);
    return opened ? readlinkSync(opened.path) : this.way(path).at;
  }

  private way(path: string): { at: string; left: string[] } {
    return follow(path, linkAt, (at) => this.folders.has(at));
  }
}

/** Without what cannot be read: the containers that run tell of theirs again. */
function read(file: string, log: Log): string[] {
  try {
    return JSON.parse(readReplaced(file) ?? '[]') as string[];
  } catch (err) {
    log.error({ err, file }, 'the list of folders that containers could write is damaged; it begins anew');
    return [];
  }
}
