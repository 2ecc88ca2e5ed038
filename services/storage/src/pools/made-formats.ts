/**
 * Which images we made, and as what: their format is certain, whatever a guest writes into them later.
 *
 *   <state>/pools/<uuid>.made   name → format and the very file (inode, birth)
 *
 * A file that took the place of another is another one: nothing is known of it. One that is not seen may be seen again: where
 * nothing is mounted yet a folder is empty.
 */
import type { Stats } from 'node:fs';
import { join } from 'node:path';
import type { ImageFormat } from '@virtbus/shared';
import { dropReplaced, readReplaced, replaceFile } from '@virtbus/shared/files';

interface Made {
  format: ImageFormat;
  file: string;
}

export class MadeFormats {
  private readonly pools = new Map<string, Map<string, Made>>();

  constructor(private readonly stateFolder: string) {}

  /** Note it before the file gets its name: a crash leaves a note without a file, never a file without a note. */
  note(pool: string, volume: string, format: ImageFormat, stats: Stats): void {
    this.of(pool).set(volume, { format, file: sameness(stats) });
    this.save(pool);
  }

  formatOf(pool: string, volume: string, stats: Stats): ImageFormat | undefined {
    const made = this.of(pool).get(volume);
    return made && isSame(made.file, stats) ? made.format : undefined;
  }

  /** Volumes of which something is noted. */
  names(pool: string): readonly string[] {
    return [...this.of(pool).keys()];
  }

  /** Of `noted` only these volumes are still there. Where none of them is, it may be another place that was looked into. */
  keepOnly(pool: string, noted: readonly string[], volumes: { has(name: string): boolean }): void {
    const made = this.of(pool);
    const gone = noted.filter((name) => !volumes.has(name));
    if (gone.length === noted.length) return;
    for (const name of gone) made.delete(name);
    if (gone.length > 0) this.save(pool);
  }

  forget(pool: string): void {
    this.pools.delete(pool);
    dropReplaced(this.path(pool));
  }

  private of(pool: string): Map<string, Made> {
    let made = this.pools.get(pool);
    if (!made) {
      made = new Map(Object.entries(read(readReplaced(this.path(pool)))));
      this.pools.set(pool, made);
    }
    return made;
  }

  private save(pool: string): void {
    replaceFile(this.path(pool), JSON.stringify(Object.fromEntries(this.of(pool))), true);
  }

  private path(pool: string): string {
    return join(this.stateFolder, 'pools', `${pool}.made`);
  }
}

/** What tells a file from others. Not its device: file systems get other numbers when they are mounted anew. */
export const sameness = ({ ino, birthtimeMs }: Stats): string => `${ino}:${birthtimeMs}`;

/** Earlier notes begin with the device. */
const isSame = (noted: string, stats: Stats): boolean => noted.split(':').slice(-2).join(':') === sameness(stats);

/** What cannot be read is as if we had made nothing: images are probed for lists, and raw for guests. */
function read(text: string | undefined): Record<string, Made> {
  try {
    return JSON.parse(text ?? '{}') as Record<string, Made>;
  } catch {
    return {};
  }
}
