/** A small file a command, for a day: those of the last 50 000 commands at most, so that a busy host does not fill its disk. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { encodeToken } from '@virtbus/shared';
import { dropReplaced, makeFolder, readReplaced, replacedAt, replacedIn, replaceFile } from '@virtbus/shared/files';

const keptMs = 86_400_000;
const most = 50_000;

export class KeptFiles {
  /** When they were written, milliseconds since 1970, oldest first. */
  private readonly written = new Map<string, number>();

  /** @param limit as many are kept */
  constructor(
    private readonly folder: string,
    private readonly limit = most,
  ) {
    makeFolder(folder, 0o700);
    const found = replacedIn(folder, ending).map((name) => [name, replacedAt(join(folder, name)) ?? 0] as const);
    for (const [name, at] of found.sort(([, a], [, b]) => a - b)) this.written.set(name, at);
    this.prune();
  }

  /** @param durable it outlives a power cut */
  write(id: string, content: string, durable: boolean): void {
    const name = nameOf(id);
    replaceFile(join(this.folder, name), content, durable);
    this.written.delete(name);
    this.written.set(name, Date.now());
    this.prune();
  }

  read(id: string): string | undefined {
    return readReplaced(join(this.folder, nameOf(id)));
  }

  drop(id: string): void {
    const name = nameOf(id);
    if (this.written.has(name)) this.remove(name);
  }

  private prune(): void {
    for (const [name, at] of this.written) {
      if (this.written.size <= this.limit && Date.now() - at <= keptMs) return;
      this.remove(name);
    }
  }

  private remove(name: string): void {
    this.written.delete(name);
    try {
      dropReplaced(join(this.folder, name));
    } catch {
      // The next process of ours finds it.
    }
  }
}

const ending = '.json';

/** An id is a client's word; this can be a file's name. */
function nameOf(id: string): string {
  const token = encodeToken(id);
  return (token.length <= 128 ? token : createHash('sha256').update(id).digest('hex')) + ending;
}
