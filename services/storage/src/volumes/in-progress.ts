/**
 * Volumes that are being made: each is noted on disk before anything of it exists, so that after a crash what is half
 * made is taken away when its pool comes up.
 *
 *   <state>/volumes-in-progress/<id>.json    what to take away
 *   <state>/volumes-in-progress/<id>.secret  a passphrase that a program reads, for that long (mode 0600)
 */
import { randomBytes } from 'node:crypto';
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { dropReplaced, makeFolder, readReplaced, replacedIn, replaceFile } from '@virtbus/shared/files';
import type { StorageHost } from '../host';
import { backendOf } from '../pools/backends';
import { deviceVolume } from '../pools/device-volume';
import { temporaryPrefix } from '../pools/folder';
import type { ManagedPool } from '../pools/managed-pool';

interface Note {
  /** Uuid. */
  pool: string;
  /** A file that nobody else knows. */
  temporary?: string;
  /** Or a device that is whole only at the end. */
  device?: Device;
}

interface Device {
  name: string;
  path: string;
  /** What its backend tells it from others by: a later one of that name is nobody's to take away. */
  identity: string | undefined;
}

export class InProgress {
  private readonly folder: string;

  constructor(private readonly host: StorageHost) {
    this.folder = join(host.folder, 'volumes-in-progress');
    makeFolder(this.folder, 0o700);
    for (const name of readdirSync(this.folder)) if (name.endsWith('.secret')) rmSync(join(this.folder, name));
  }

  /** Does the work with a file name of its own beside `path`; what is there afterwards is taken away. */
  async withTemporary<T>(pool: ManagedPool, path: string, work: (temporary: string) => Promise<T>): Promise<T> {
    const id = newId();
    const temporary = join(dirname(path), `${temporaryPrefix}${this.host.name}-${id}`);
    this.note(id, { pool: pool.uuid, temporary });
    try {
      return await work(temporary);
    } finally {
      // Not removed when that fails: the note stays, and the next start tries again.
      await rm(temporary, { force: true, recursive: true }).then(
        () => this.forget(id),
        () => undefined,
      );
    }
  }

  /** Does the work that fills a new device; when it fails, or we die, the device goes. */
  async withDevice(managed: ManagedPool, made: Omit<Device, 'identity'>, work: () => Promise<void>): Promise<void> {
    const { pool, uuid } = managed;
    const id = newId();
    const { devices } = backendOf(pool);
    const identity = await devices?.identify(pool, made.path).catch(async (error: unknown) => {
      await devices.remove(pool, deviceVolume(made.name, made.path, 0)).catch((err: unknown) => {
        this.host.log.warn({ err, ...made }, 'a volume that was not begun cannot be taken away');
      });
      throw error;
    });
    const device = { ...made, identity };
    this.note(id, { pool: uuid, device });
    try {
      await work();
    } catch (error) {
      await takeAway(managed, device).then(
        () => this.forget(id),
        // The note stays: it is tried again when the pool comes up.
        (err: unknown) => this.host.log.warn({ err, ...device }, 'a volume that was not finished cannot be taken away'),
      );
      throw error;
    }
    this.forget(id);
  }

  /** A device has gone: another that gets its place is not taken for it. */
  gone({ uuid }: ManagedPool, path: string): void {
    for (const [id, { pool, device }] of this.notes()) if (pool === uuid && device?.path === path) this.forget(id);
  }

  /** Does the work while a passphrase lies in a file that only we can read. */
  async withSecret<T>(secret: string | undefined, work: (file: string | undefined) => Promise<T>): Promise<T> {
    if (secret === undefined) return work(undefined);
    const file = join(this.folder, `${newId()}.secret`);
    writeFileSync(file, secret, { mode: 0o600, flag: 'wx' });
    try {
      return await work(file);
    } finally {
      rmSync(file, { force: true });
    }
  }

  /** After a crash: take away what was being made in a pool that has come up. */
  async sweep(pool: ManagedPool): Promise<void> {
    for (const [id, note] of this.notes()) {
      if (note.pool !== pool.uuid) continue;
      try {
        if (note.temporary !== undefined) await rm(note.temporary, { force: true, recursive: true });
        const isGone = note.device === undefined || (await takeAway(pool, note.device));
        this.forget(id);
        const what = isGone ? 'was taken away' : 'has gone, and its place may be that of another';
        this.host.log.info({ ...note, pool: pool.name }, `a volume that was not finished ${what}`);
      } catch (err) {
        this.host.log.warn({ err, ...note, pool: pool.name }, 'a volume that was not finished cannot be taken away');
      }
    }
  }

  private *notes(): Iterable<[id: string, note: Note]> {
    for (const name of replacedIn(this.folder)) {
      const [, id] = /^([0-9a-f]+)\.json$/.exec(name) ?? [];
      if (id === undefined) continue;
      try {
        yield [id, JSON.parse(readReplaced(join(this.folder, name)) ?? '') as Note];
      } catch (err) {
        this.host.log.warn({ err, note: name }, 'a note of a volume in progress cannot be read; it is left as it is');
      }
    }
  }

  private note(id: string, note: Note): void {
    replaceFile(join(this.folder, `${id}.json`), JSON.stringify(note), true);
  }

  private forget(id: string): void {
    dropReplaced(join(this.folder, `${id}.json`));
  }
}

/** False, and nothing is done, where another device has its place, or none. */
async function takeAway({ pool }: ManagedPool, { name, path, identity }: Device): Promise<boolean> {
  const { devices } = backendOf(pool);
  if (identity === undefined || (await devices?.identify(pool, path)) !== identity) return false;
  await devices?.remove(pool, deviceVolume(name, path, 0));
  return true;
}

const newId = (): string => randomBytes(8).toString('hex');
