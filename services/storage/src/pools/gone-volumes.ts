/**
 * Volumes whose files are gone: drivers remove images that were merged into others, or that went with a snapshot. Looked for
 * among what domains have let go of.
 *
 * A volume goes on positive evidence alone: its pool is up, and nothing has its name. One pool is asked for one file at a time,
 * and nobody waits for the answer: a server that hangs keeps one thread and nothing else.
 */
import { lstat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { backendOf } from './backends';
import type { ManagedPool } from './managed-pool';
import type { Pools } from './pools';

export class GoneVolumes {
  /** Names to look for, of the pools that are being asked. */
  private readonly asked = new Map<ManagedPool, { names: Set<string>; answered: Promise<void> }>();

  constructor(private readonly pools: Pools) {}

  /** These may be gone. Resolves when that is known of each, or cannot be known now. */
  async lookFor(paths: readonly string[]): Promise<void> {
    const answers = this.pools.all().flatMap((managed) => {
      const { active, pool, volumes } = managed;
      if (!active || backendOf(pool).devices) return [];
      const here = paths.filter((path) => dirname(path) === pool.target?.path).map((path) => basename(path));
      const known = here.filter((name) => volumes.has(name));
      return known.length > 0 ? [this.ask(managed, known)] : [];
    });
    await Promise.all(answers);
  }

  private ask(managed: ManagedPool, added: readonly string[]): Promise<void> {
    const asked = this.asked.get(managed);
    if (asked) {
      for (const name of added) asked.names.add(name);
      return asked.answered;
    }
    const names = new Set(added);
    const answered = this.askAll(managed, names);
    this.asked.set(managed, { names, answered });
    return answered;
  }

  private async askAll(managed: ManagedPool, names: Set<string>): Promise<void> {
    for (const name of names) {
      // Asked for again while it is being looked for, it is looked for again.
      names.delete(name);
      try {
        await this.dropIfGone(managed, name);
      } catch (err) {
        this.pools.host.log.debug({ err, pool: managed.name, volume: name }, 'not known whether a volume is there');
      }
    }
    this.asked.delete(managed);
  }

  private async dropIfGone(managed: ManagedPool, name: string): Promise<void> {
    const { pool, volumes } = managed;
    const found = volumes.get(name);
    const path = found?.volume.target.path;
    if (path === undefined || !(await isGone(path)) || !(await backendOf(pool).isUp(pool))) return;
    // Whoever is at work on it says what becomes of it.
    if (!managed.active || managed.volumes.get(name) !== found || managed.hasJob(name)) return;
    managed.drop(name);
    this.pools.tell(managed, 'volume-deleted', undefined, { volume: name, path });
    managed.space = await backendOf(pool).space(pool);
  }
}

async function isGone(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return false;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true;
    throw error;
  }
}
