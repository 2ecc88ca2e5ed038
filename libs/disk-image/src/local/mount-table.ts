/** The mounts at one moment, and which file calls are right for a path. */
import { lstatSync, readFileSync, type BigIntStats } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { dirname, isAbsolute, normalize } from 'node:path';
import { blocking, waiting, type FileAccess } from './file-access';
import { mayHang, mountOf, parseMounts, type Mount } from './mounts';

export class MountTable {
  readonly #mounts = parseMounts(readFileSync('/proc/self/mountinfo', 'utf8'));
  readonly #folders = new Map<string, Promise<FileAccess>>();

  /** Mounts of a device (`major:minor`), the latest first. */
  of(device: string): readonly Mount[] {
    return this.#mounts.get(device) ?? [];
  }

  /**
   * What a path names, and which calls can not hang there: nothing is touched that has not been found to lie on a disk of this
   * machine. Fails as stat(2) does.
   */
  async look(path: string): Promise<{ seen: BigIntStats; access: FileAccess }> {
    const folder = dirname(path);
    let inFolder = this.#folders.get(folder);
    if (!inFolder) {
      inFolder = this.#accessOfFolder(folder);
      this.#folders.set(folder, inFolder);
    }
    if ((await inFolder) === blocking) {
      const seen = lstatSync(path, { bigint: true });
      if (!seen.isSymbolicLink()) return { seen, access: blocking };
    }
    return { seen: await stat(path, { bigint: true }), access: waiting };
  }

  async #accessOfFolder(folder: string): Promise<FileAccess> {
    const real = this.#isPlain(folder) ? folder : await realpath(folder).catch(() => undefined);
    const mount = real === undefined ? undefined : mountOf(this.#mounts, real);
    return mount && !mayHang(mount) ? blocking : waiting;
  }

  /** An absolute path without symbolic links, on disks of this machine all the way: each part is known to be before it is touched. */
  #isPlain(folder: string): boolean {
    if (normalize(folder) !== folder || !isAbsolute(folder)) return false;
    const parts = folder.split('/');
    return parts.every((_, index) => {
      const path = parts.slice(0, index + 1).join('/') || '/';
      const mount = mountOf(this.#mounts, path);
      if (!mount || mayHang(mount)) return false;
      return lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
    });
  }
}
