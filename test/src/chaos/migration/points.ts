/**
 * Where a migration is, noticed the moment it gets there: steps as the journal has them before they are done, phases as the
 * hosts' books have them before their effects.
 */
import { mkdirSync, readFileSync, watch, type FSWatcher } from 'node:fs';
import { buckets } from '@virtbus/shared';
import { Table } from '@virtbus/shared/bus';
import { z } from 'zod';
import type { MigrationStand } from '../../migration-stand/stand';

/** In their order; `withdraw` instead of the rest in one that is given up. */
export const points = [
  ...['step claim', 'step begin', 'source begun', 'step prepare', 'target prepared', 'step perform'],
  ...['source performing', 'source performed', 'target finishing', 'target finished', 'step handover'],
  ...['step confirm', 'source confirmed', 'step done', 'step withdraw'],
] as const;
export type Point = (typeof points)[number];

const sagaSchema = z.looseObject({ ledger: z.looseObject({ step: z.string() }) });

export class Points implements Disposable {
  private readonly seen = new Set<string>();
  private readonly wanted = new Map<string, () => void>();
  private readonly watchers: (FSWatcher | { close(): void })[] = [];

  private constructor(private readonly id: string) {}

  static async of(stand: MigrationStand, id: string): Promise<Points> {
    const points = new Points(id);
    for (const host of stand.hosts)
      points.watchBook(stand.stack.folder.file('state', 'hosts', host, 'qemu', 'migrations'));
    const table = await Table.open(await stand.stack.serviceBus(), buckets.migrations, sagaSchema);
    const changes = await table.watch();
    points.watchers.push({ close: () => changes.stop() });
    void points.followJournal(changes).catch(() => undefined); // the server was killed
    return points;
  }

  /** Resolves when it is there, or was. */
  reached(point: Point): Promise<void> {
    if (this.seen.has(point)) return Promise.resolve();
    return new Promise((resolve) => this.wanted.set(point, resolve));
  }

  private async followJournal(changes: AsyncIterable<{ key: string; value: z.infer<typeof sagaSchema> | undefined }>) {
    for await (const { key, value } of changes) if (key === this.id && value) this.see(`step ${value.ledger.step}`);
  }

  private watchBook(folder: string): void {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const look = (name: string | null): void => {
      const [id, role, json] = (name ?? '').split('.');
      if (id !== this.id || json !== 'json') return;
      try {
        const { phase } = JSON.parse(readFileSync(`${folder}/${name}`, 'utf8')) as { phase: string };
        this.see(`${role} ${phase}`);
      } catch {
        // It is written anew just now, and will be told of again.
      }
    };
    this.watchers.push(watch(folder, (_event, name) => look(name)));
  }

  private see(what: string): void {
    this.seen.add(what);
    this.wanted.get(what)?.();
  }

  [Symbol.dispose](): void {
    for (const watcher of this.watchers) watcher.close();
  }
}
