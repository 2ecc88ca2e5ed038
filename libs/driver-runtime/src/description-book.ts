/**
 * The descriptions of a domain's snapshots, or of its checkpoints: a file each, in libvirt's XML, all in memory. Every file is
 * replaced whole, so a crash leaves the old one or the new one.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { VirtError } from '@virtbus/shared';
import { dropReplaced, flushFolder, makeFolder, readReplaced, replacedIn, replaceFile } from '@virtbus/shared/files';
import type { Log } from '@virtbus/shared/log';

export interface Description {
  name: string;
  parent?: { name?: string | undefined } | undefined;
  /** Seconds since 1970. */
  creationTime?: number | undefined;
}

export interface DescriptionFormat<D extends Description> {
  read(xml: string): D;
  write(description: D): string;
  /** What is thrown for a name that is not there. */
  missing(name: string): VirtError;
}

/** Bytes of a file's name, without what we add: each of a name's own that is no plain letter takes three. */
const longest = 240;

export class DescriptionBook<D extends Description> {
  private readonly kept = new Map<string, D>();
  /** Text of those that are on disk before there is what they describe, by name. */
  private readonly reserved = new Map<string, string>();
  /** Files that could not be read. */
  private readonly unread = new Set<string>();

  private constructor(
    private readonly folder: string,
    private readonly format: DescriptionFormat<D>,
    private readonly log: Log,
  ) {}

  static open<D extends Description>(folder: string, format: DescriptionFormat<D>, log: Log): DescriptionBook<D> {
    const book = new DescriptionBook(folder, format, log);
    for (const path of book.files()) book.read(path);
    return book;
  }

  /** Files of descriptions that cannot be read: nobody knows what they tell of. Whoever mends one or takes it away is believed. */
  get damaged(): readonly string[] {
    this.readAgain();
    return [...this.unread];
  }

  /** Throws where a description of this name cannot be read: another one would take its place. */
  checkReadable(name: string): void {
    const path = this.pathOf(name);
    if (!this.damaged.includes(path)) return;
    const detail = `what is kept under the name '${name}' cannot be read: ${path}; mend that file, take it away or redefine it, or choose another name`;
    throw new VirtError('OPERATION_FAILED', { detail });
  }

  get size(): number {
    return this.kept.size;
  }

  /** Parents before their children, siblings by age. */
  get all(): D[] {
    this.readAgain();
    return this.rooted(undefined);
  }

  find(name: string): D | undefined {
    if (!this.kept.has(name)) this.readAgain();
    return this.kept.get(name);
  }

  get(name: string): D {
    const description = this.find(name);
    if (!description) throw this.format.missing(name);
    return description;
  }

  /** Undefined for a root: also for one whose parent is not here. */
  parentOf({ parent }: D): D | undefined {
    return this.kept.get(parent?.name ?? '');
  }

  /** @param name the roots when undefined */
  childrenOf(name: string | undefined): D[] {
    return [...this.kept.values()]
      .filter((one) => this.parentOf(one)?.name === name)
      .sort((a, b) => madeAt(a) - madeAt(b) || (a.name < b.name ? -1 : 1));
  }

  /** Its children, and theirs. */
  descendantsOf(name: string): D[] {
    return this.rooted(name);
  }

  /**
   * On disk when it returns, and nobody sees it until it is kept: where the disk does not take it nothing has happened yet.
   * After a crash it is there like others; whoever began it keeps it or drops it.
   */
  reserve(description: D): void {
    makeFolder(this.folder, 0o700);
    const text = this.format.write(description);
    replaceFile(this.pathOf(description.name), text, true);
    this.reserved.set(description.name, text);
    this.unread.delete(this.pathOf(description.name));
  }

  /** On disk when it returns. What was reserved as it is now is there already. */
  keep(description: D): void {
    if (this.reserved.get(description.name) !== this.format.write(description)) this.reserve(description);
    this.reserved.delete(description.name);
    this.kept.set(description.name, description);
  }

  drop(name: string): void {
    if (!this.reserved.delete(name) && !this.kept.has(name)) return;
    dropReplaced(this.pathOf(name));
    flushFolder(this.folder);
    this.kept.delete(name);
  }

  private readAgain(): void {
    for (const path of this.unread) this.read(path);
  }

  private read(path: string): void {
    try {
      const text = readReplaced(path);
      const description = text === undefined ? undefined : this.format.read(text);
      if (description) this.kept.set(description.name, description);
      this.unread.delete(path);
    } catch (err) {
      if (!this.unread.has(path)) this.log.error({ err, path }, 'cannot read a description; its file is left as it is');
      this.unread.add(path);
    }
  }

  private rooted(name: string | undefined): D[] {
    return this.childrenOf(name).flatMap((child) => [child, ...this.rooted(child.name)]);
  }

  private pathOf(name: string): string {
    const encoded = encodeURIComponent(name);
    const stem = encoded.length <= longest ? encoded : createHash('sha256').update(name).digest('hex');
    return join(this.folder, `${stem}.xml`);
  }

  private files(): string[] {
    try {
      return replacedIn(this.folder, '.xml').map((name) => join(this.folder, name));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    }
  }
}

export const madeAt = ({ creationTime }: Description): number => creationTime ?? 0;
