/** Checkpoints and backups of guests in memory: what a restart of the driver does not take away is in `BackupsInMemory`. */
import { parseDomain } from '@virtbus/domain-xml';
import { VirtError } from '@virtbus/shared';
import type { BackupFacet, RunningBackup } from '../backup/facet';
import type { CheckpointsFacet } from '../checkpoints/facet';
import type { MemoryDriver, MemoryGuest } from './memory-driver';
import { xml, type OneHost } from './one-host';

const disk = `<disk type='file'><driver name='qemu' type='qcow2'/><source file='/i/a'/><target dev='vda' bus='virtio'/></disk>`;

/** A domain that runs and has come to a disk, vda. */
export async function startWithDisk(one: OneHost): Promise<void> {
  await one.define();
  await one.call('start', { paused: false, forceBoot: false });
  const document = xml().replace('</domain>', `<devices>${disk}</devices></domain>`);
  one.guest.live = parseDomain(document, { mode: 'live' }).domain;
  one.guest.sink({ kind: 'live' });
}

export class BackupsInMemory {
  /** Checkpoints that have bitmaps. */
  readonly bitmaps = new Set<string>();
  running: RunningBackup | undefined;
  /** What happens before a checkpoint's bitmaps are made, and after. */
  before: () => void | Promise<void> = () => undefined;
  after: () => void | Promise<void> = () => undefined;

  /** It does not say whether a backup has begun. */
  silent = false;
  /** It has ended while no driver was there. */
  endsUnseen = false;

  /** From now on checkpoints and backups hang `before` or `after` they are made. Resolves when one does. */
  hangs(when: 'before' | 'after'): Promise<void> {
    return new Promise((reached) => {
      this[when] = () => (reached(), new Promise(() => undefined));
    });
  }

  giveTo(driver: MemoryDriver): void {
    Object.assign(driver.facets, { checkpoints: this.checkpoints, backup: this.backup });
  }

  /** As the hypervisor tells it. */
  end(guest: MemoryGuest, outcome: 'completed' | 'failed' | 'cancelled'): void {
    this.running = undefined;
    guest.sink({ kind: 'backup-ended', outcome, total: 100, processed: outcome === 'completed' ? 100 : 40 });
  }

  private readonly checkpoints: CheckpointsFacet<MemoryGuest> = {
    check: () => undefined,
    create: async (_guest, { name }) => {
      await this.before();
      this.bitmaps.add(name);
      await this.after();
    },
    validate: async (_guest, { name }) => {
      if (!this.bitmaps.has(name)) throw new VirtError('CHECKPOINT_INCONSISTENT', { detail: name });
    },
    sizes: async () => new Map([['vda', 4096]]),
    remove: async (_guest, { name }) => void this.bitmaps.delete(name),
  };

  private readonly backup: BackupFacet<MemoryGuest> = {
    check: async () => undefined,
    begin: async (_guest, { backup, command }) => {
      await this.before();
      this.running = { backup, command, began: Date.now() };
      await this.after();
    },
    running: () => this.running,
    resume: async (guest) => {
      if (this.silent) throw new VirtError('OPERATION_TIMEOUT', { detail: 'the hypervisor does not answer' });
      if (this.endsUnseen) this.end(guest, 'completed');
      return this.running;
    },
    progress: async () => ({ total: 100, processed: 40, remaining: 60 }),
    abort: async (guest) => this.end(guest, 'cancelled'),
  };
}
