/**
 * The snapshots of one domain as they lie beside its definition: one file each in `snapshots/`, in libvirt's XML with its
 * secrets. Which one is current stands in the domain's record. A file that cannot be read is left as it is.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { formatSnapshot, parseSnapshot, type Snapshot } from '@virtbus/domain-xml/snapshot';
import { VirtError } from '@virtbus/shared';
import { dropReplaced, makeFolder, readReplaced, replaceFile } from '@virtbus/shared/files';
import type { Log } from '@virtbus/shared/log';

/** Seconds since 1970. */
export const takenAt = ({ creationTime }: Snapshot): number => creationTime ?? 0;

export class SnapshotBook {
  private readonly kept = new Map<string, Snapshot>();

  private constructor(private readonly folder: string) {}

  static open(folder: string, log: Log): SnapshotBook {
    const book = new SnapshotBook(folder);
    for (const path of book.files()) {
      try {
        const snapshot = parseSnapshot(readReplaced(path) ?? '', { form: 'stored', unknown: 'warn' });
        book.kept.set(snapshot.name, snapshot);
      } catch (err) {
        log.error({ err, path }, 'cannot read a snapshot; its file is left as it is');
      }
    }
    return book;
  }

  get size(): number {
    return this.kept.size;
  }

  /** Parents before their children, siblings by age. */
  get all(): Snapshot[] {
    return this.rooted(undefined);
  }

  find(name: string): Snapshot | undefined {
    return this.kept.get(name);
  }

  get(name: string): Snapshot {
    const snapshot = this.kept.get(name);
    if (!snapshot) throw new VirtError('NO_DOMAIN_SNAPSHOT', { snapshot: name });
    return snapshot;
  }

  /** Undefined for a root: also for one whose parent is not here. */
  parentOf({ parent }: Snapshot): Snapshot | undefined {
    return this.kept.get(parent?.name ?? '');
  }

  /** @param name the roots when undefined */
  childrenOf(name: string | undefined): Snapshot[] {
    return [...this.kept.values()]
      .filter((one) => this.parentOf(one)?.name === name)
      .sort((a, b) => takenAt(a) - takenAt(b) || (a.name < b.name ? -1 : 1));
  }

  descendantsOf(name: string): Snapshot[] {
    return this.rooted(name);
  }

  /** On disk when it returns. */
  keep(snapshot: Snapshot): void {
    makeFolder(this.folder, 0o700);
    // Which one is current only the record says.
    const xml = formatSnapshot({ ...snapshot, active: false }, { stored: true, secrets: true });
    replaceFile(this.pathOf(snapshot.name), xml, true);
    this.kept.set(snapshot.name, snapshot);
  }

  drop(name: string): void {
    dropReplaced(this.pathOf(name));
    this.kept.delete(name);
  }

  private rooted(name: string | undefined): Snapshot[] {
    return this.childrenOf(name).flatMap((child) => [child, ...this.rooted(child.name)]);
  }

  private pathOf(name: string): string {
    return join(this.folder, `${encodeURIComponent(name)}.xml`);
  }

  private files(): string[] {
    try {
      const names = readdirSync(this.folder).map((name) => name.replace(/\.new$/, ''));
      return [...new Set(names)].filter((name) => name.endsWith('.xml')).map((name) => join(this.folder, name));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    }
  }
}
