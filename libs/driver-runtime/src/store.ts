/**
 * What a driver keeps on its own disk, one folder a domain: the record (JSON), the definition and the live document
 * (XML). Every file is replaced whole, so a crash leaves the old one or the new one.
 *
 *   <state>/domains/<uuid>/record.json  config.xml  live.xml  managed.save
 *   <state>/gone/<uuid>.json            tombstones: what has left this host, with the answers it gave
 *   <state>/host.json                   the host's uuid, the last id given, the boot it was seen in
 *   <state>/journal/                    events that the bus has not acknowledged
 */
import { randomUUID } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { domainStates, VirtError } from '@virtbus/shared';
import type { DomainRecord, HostRecord, Tombstone } from './record';

/** How long the answers of a domain that has gone are kept, milliseconds. */
const tombstoneMs = 86_400_000;

export class Store {
  constructor(
    readonly folder: string,
    readonly runFolder: string,
  ) {
    for (const path of [join(folder, 'domains'), join(folder, 'gone'), join(folder, 'log')]) {
      makeFolder(path, 0o700);
    }
    // The user that guests run as must reach its own sockets below, but list nothing.
    makeFolder(runFolder, 0o711);
  }

  folderOf(uuid: string): string {
    return join(this.folder, 'domains', uuid);
  }

  makeFolderOf(uuid: string): void {
    makeFolder(this.folderOf(uuid), 0o700);
  }

  runFolderOf(uuid: string): string {
    // Socket paths are limited to 107 bytes (unix(7)): the first part of the uuid and its end are enough.
    return join(this.runFolder, `${uuid.slice(0, 8)}${uuid.slice(-12)}`);
  }

  logOf(name: string, uuid: string): string {
    return join(this.folder, 'log', `${name.replaceAll(/[^A-Za-z0-9._-]/g, '_').slice(0, 64)}-${uuid.slice(0, 8)}.log`);
  }

  managedSaveOf(uuid: string): string {
    return join(this.folderOf(uuid), 'managed.save');
  }

  /** Every domain that lives here. A folder without a readable record is named in `damaged` and left as it is. */
  load(): { records: DomainRecord[]; damaged: { uuid: string; why: string }[] } {
    const records: DomainRecord[] = [];
    const damaged: { uuid: string; why: string }[] = [];
    for (const uuid of readdirSync(join(this.folder, 'domains'))) {
      try {
        const text = readReplaced(join(this.folderOf(uuid), 'record.json'));
        if (text !== undefined) records.push(readRecord(text, uuid));
        else if (readdirSync(this.folderOf(uuid)).length > 0) damaged.push({ uuid, why: 'it has no record.json' });
        else rmSync(this.folderOf(uuid), { recursive: true });
      } catch (error) {
        damaged.push({ uuid, why: (error as Error).message });
      }
    }
    return { records, damaged };
  }

  saveRecord(record: DomainRecord): void {
    replaceFile(join(this.folderOf(record.uuid), 'record.json'), JSON.stringify(record), false);
  }

  /** @param durable wait for the disk: a definition survives a power cut, a running guest does not. */
  saveDocument(uuid: string, which: 'config' | 'live', xml: string, durable: boolean): void {
    replaceFile(join(this.folderOf(uuid), `${which}.xml`), xml, durable);
  }

  loadDocument(uuid: string, which: 'config' | 'live'): string | undefined {
    return readReplaced(join(this.folderOf(uuid), `${which}.xml`));
  }

  dropDocument(uuid: string, which: 'config' | 'live'): void {
    const path = join(this.folderOf(uuid), `${which}.xml`);
    for (const name of [path, `${path}.new`]) rmSync(name, { force: true });
  }

  /** The domain has left this host. */
  bury(tombstone: Tombstone): void {
    replaceFile(join(this.folder, 'gone', `${tombstone.uuid}.json`), JSON.stringify(tombstone), false);
    rmSync(this.folderOf(tombstone.uuid), { recursive: true, force: true });
    rmSync(this.runFolderOf(tombstone.uuid), { recursive: true, force: true });
  }

  /** Leave nothing of a domain that never came to be. */
  discard(uuid: string): void {
    rmSync(this.folderOf(uuid), { recursive: true, force: true });
    rmSync(this.runFolderOf(uuid), { recursive: true, force: true });
  }

  /** It is back. */
  exhume(uuid: string): void {
    rmSync(join(this.folder, 'gone', `${uuid}.json`), { force: true });
  }

  tombstones(): Tombstone[] {
    return readdirSync(join(this.folder, 'gone')).flatMap((name) => {
      const path = join(this.folder, 'gone', name);
      if (!name.endsWith('.json')) return [];
      if (Date.now() - statSync(path).mtimeMs > tombstoneMs) {
        rmSync(path, { force: true });
        return [];
      }
      const tombstone = parseJson(readFileSync(path, 'utf8')) as Tombstone | undefined;
      return tombstone && Array.isArray(tombstone.answered) ? [tombstone] : [];
    });
  }

  /** A host whose own record cannot be read gets a new one: its domains matter more than its uuid. */
  loadHost(): HostRecord {
    const known = parseJson(readReplaced(join(this.folder, 'host.json')) ?? '') as HostRecord | undefined;
    return typeof known?.uuid === 'string' ? known : { uuid: randomUUID(), lastId: 0, bootId: '' };
  }

  saveHost(host: HostRecord): void {
    replaceFile(join(this.folder, 'host.json'), JSON.stringify(host), false);
  }
}

export function makeFolder(path: string, mode: number): void {
  try {
    mkdirSync(path, { recursive: true, mode });
  } catch (cause) {
    throw unwritable(path, cause);
  }
}

/** Write beside, then take the old one's place: a crash leaves the old one, or the new one under one of its two names. */
export function replaceFile(path: string, content: string, durable: boolean): void {
  try {
    const fd = openSync(`${path}.new`, 'w', 0o600);
    try {
      writeFileSync(fd, content);
      if (durable) fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    // Renamed over a file, the new one is flushed to disk at once (ext4): half a millisecond that only a file that
    // must outlive a power cut is worth. Readers look at the `.new` file when they find no other.
    if (!durable) rmSync(path, { force: true });
    renameSync(`${path}.new`, path);
  } catch (cause) {
    try {
      rmSync(`${path}.new`, { force: true, recursive: true });
    } catch {
      // Where nothing can be written nothing can be removed either: the first failure is the one to tell.
    }
    throw unwritable(path, cause);
  }
}

/** Throws with what is wrong with it. */
function readRecord(text: string, uuid: string): DomainRecord {
  const record = JSON.parse(text) as DomainRecord | null;
  if (record?.uuid !== uuid || !Array.isArray(record.answered) || !Object.hasOwn(domainStates, record.state)) {
    throw new TypeError(`record.json is not the record of domain ${uuid}`);
  }
  return record;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) ?? undefined;
  } catch {
    return undefined;
  }
}

function unwritable(path: string, cause: unknown): VirtError {
  const code = (cause as NodeJS.ErrnoException).code;
  const why =
    code === 'ENOSPC' ? 'no space left on the device' : code === 'EACCES' ? 'permission denied' : String(cause);
  return new VirtError('SYSTEM_ERROR', { detail: `cannot write ${path}: ${why}` }, { cause });
}

/** A file that `replaceFile` wrote. */
function readReplaced(path: string): string | undefined {
  return readIfThere(path) ?? readIfThere(`${path}.new`);
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
