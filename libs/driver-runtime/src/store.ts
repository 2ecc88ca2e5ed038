/**
 * What a driver keeps on its own disk, one folder a domain: the record (JSON), the definition and the live document
 * (XML). Every file is replaced whole, so a crash of ours leaves the old one or the new one. A power cut leaves nothing that can be
 * relied on of what was not flushed, a record of zeros, say: `established.json` is the record as it was when a user had last set
 * something.
 *
 *   <state>/domains/<uuid>/record.json  established.json  config.xml  live.xml  managed.save
 *   <state>/gone/<uuid>.json            tombstones: what has left this host, with the answers it gave
 *   <state>/host.json                   the host's uuid, the last id given, the boot it was seen in
 *   <state>/boot.json                   what of it is to be known after a power cut
 *   <state>/journal/                    events that the bus has not acknowledged
 */
import { randomUUID } from 'node:crypto';
import { existsSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { domainStates } from '@virtbus/shared';
import {
  dropReplaced,
  flushFolder,
  makeFolder,
  readReplaced,
  replacedAt,
  replacedIn,
  replaceFile,
} from '@virtbus/shared/files';
import type { Answered, DomainRecord, HostRecord, Tombstone } from './record';

/** How long the answers of a domain that has gone are kept, milliseconds. */
const tombstoneMs = 86_400_000;

export class Store {
  private readonly answers = new WeakMap<Answered, string>();

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

  /**
   * Is there a managed save image of the domain? One that was spent is of a guest that may have run on since.
   * @param booted since: nobody knows whether it has
   */
  hasManagedSave(uuid: string, booted: boolean): boolean {
    const path = this.managedSaveOf(uuid);
    if (booted) rmSync(spent(path), { force: true });
    else this.returnManagedSave(uuid);
    return existsSync(path);
  }

  /** Its guest is about to run: after a power cut it is not there any more. */
  spendManagedSave(uuid: string): void {
    const path = this.managedSaveOf(uuid);
    renameSync(path, spent(path));
    flushFolder(this.folderOf(uuid));
  }

  /** Its guest has not run. */
  returnManagedSave(uuid: string): void {
    const path = this.managedSaveOf(uuid);
    if (existsSync(spent(path))) renameSync(spent(path), path);
  }

  dropManagedSave(uuid: string): void {
    const path = this.managedSaveOf(uuid);
    for (const name of [path, spent(path)]) rmSync(name, { force: true });
    flushFolder(this.folderOf(uuid));
  }

  /**
   * Every domain that lives here. A folder without a readable record is named in `damaged` and left as it is.
   * @param booted since the last load: no guest runs, so that a domain is as a user has last set it where nothing later can be read
   */
  load(booted: boolean): { records: DomainRecord[]; damaged: { uuid: string; why: string }[] } {
    const records: DomainRecord[] = [];
    const damaged: { uuid: string; why: string }[] = [];
    for (const uuid of readdirSync(join(this.folder, 'domains'))) {
      try {
        const record = this.read(uuid, 'record.json');
        if (record) records.push(record);
        else if (replacedIn(this.folderOf(uuid)).length > 0) throw new Error('it has no record.json');
        else rmSync(this.folderOf(uuid), { recursive: true });
      } catch (error) {
        const established = booted ? this.established(uuid) : undefined;
        if (established) records.push(established);
        else damaged.push({ uuid, why: (error as Error).message });
      }
    }
    return { records, damaged };
  }

  isEstablished(uuid: string): boolean {
    return replacedAt(join(this.folderOf(uuid), 'established.json')) !== undefined;
  }

  private established(uuid: string): DomainRecord | undefined {
    try {
      return this.read(uuid, 'established.json');
    } catch {
      return undefined;
    }
  }

  private read(uuid: string, name: string): DomainRecord | undefined {
    const text = readReplaced(join(this.folderOf(uuid), name));
    return text === undefined ? undefined : readRecord(text, uuid);
  }

  saveRecord(record: DomainRecord): void {
    replaceFile(join(this.folderOf(record.uuid), 'record.json'), this.recordText(record), false);
  }

  /** What a user has set is there after a power cut: record, documents and their names are on disk when the call returns. */
  establish(record: DomainRecord): void {
    this.saveRecord(record);
    replaceFile(join(this.folderOf(record.uuid), 'established.json'), this.recordText(record), true);
    flushFolder(join(this.folder, 'domains'));
  }

  /** Written many times a command: answers, most of it and never changed, are made into text once. */
  private recordText({ answered, ...rest }: DomainRecord): string {
    const texts = answered.map((answer) => {
      const known = this.answers.get(answer) ?? JSON.stringify(answer);
      this.answers.set(answer, known);
      return known;
    });
    return `${JSON.stringify(rest).slice(0, -1)},"answered":[${texts.join(',')}]}`;
  }

  /** @param durable wait for the disk: a definition survives a power cut, a running guest does not. */
  saveDocument(uuid: string, which: 'config' | 'live', xml: string, durable: boolean): void {
    replaceFile(join(this.folderOf(uuid), `${which}.xml`), xml, durable);
  }

  loadDocument(uuid: string, which: 'config' | 'live'): string | undefined {
    return readReplaced(join(this.folderOf(uuid), `${which}.xml`));
  }

  dropDocument(uuid: string, which: 'config' | 'live'): void {
    dropReplaced(join(this.folderOf(uuid), `${which}.xml`));
  }

  /** The domain has left this host. @param durable for good: it does not come back with a power cut */
  bury(tombstone: Tombstone, durable = false): void {
    replaceFile(join(this.folder, 'gone', `${tombstone.uuid}.json`), JSON.stringify(tombstone), durable);
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
    dropReplaced(join(this.folder, 'gone', `${uuid}.json`));
  }

  tombstones(): Tombstone[] {
    return replacedIn(join(this.folder, 'gone'), '.json').flatMap((name) => {
      const path = join(this.folder, 'gone', name);
      if (Date.now() - (replacedAt(path) ?? 0) > tombstoneMs) {
        dropReplaced(path);
        return [];
      }
      const tombstone = parseJson(readReplaced(path) ?? '') as Tombstone | undefined;
      return tombstone && Array.isArray(tombstone.answered) ? [tombstone] : [];
    });
  }

  /** A host whose own record cannot be read gets a new one: its domains matter more than its uuid. */
  loadHost(): HostRecord {
    const of = (name: string) =>
      parseJson(readReplaced(join(this.folder, name)) ?? '') as Partial<HostRecord> | undefined;
    const { uuid, ...known } = { ...of('host.json'), ...of('boot.json') };
    if (typeof uuid !== 'string') return { uuid: randomUUID(), lastId: 0, bootId: '', boots: 0, since: Date.now() };
    return { uuid, lastId: 0, bootId: '', boots: 0, ...known };
  }

  /** What is to be known after a power cut, too. */
  saveBoot({ uuid, bootId, boots, since }: HostRecord): void {
    replaceFile(join(this.folder, 'boot.json'), JSON.stringify({ uuid, bootId, boots, since }), true);
  }

  saveHost(host: HostRecord): void {
    replaceFile(join(this.folder, 'host.json'), JSON.stringify(host), false);
  }
}

const spent = (managedSave: string): string => `${managedSave}.spent`;

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
