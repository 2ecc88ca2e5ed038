/** What a hypervisor brings for backups of running guests: the copying, followed to its end, also across restarts of ours. */
import type { Backup } from '@virtbus/domain-xml/backup';
import type { Checkpoint } from '@virtbus/domain-xml/checkpoint';
import type { ChainDocument } from '@virtbus/shared';
import type { Guest, Progress } from '../driver';

export interface BackupAsk {
  /** Aligned with the domain's disks. */
  backup: Backup;
  /** Made at the same moment. */
  checkpoint: Checkpoint | undefined;
  /** The images that are written to are there already. */
  reuse: boolean;
}

export interface BackupStart extends BackupAsk {
  /** Id of the command. */
  command: string;
  /** Images prepared for it, by the name of the need: `target:vda`, `scratch:vda`. */
  images: ReadonlyMap<string, ChainDocument>;
}

export interface RunningBackup {
  backup: Backup;
  command: string;
  /** Milliseconds since 1970. */
  began: number;
}

/** The end of a backup is told by `backup-ended` news. */
export interface BackupFacet<G extends Guest = Guest> {
  /** Throws what keeps it from being done now; changes nothing. */
  check(guest: G, ask: BackupAsk, signal: AbortSignal): Promise<void>;
  /** Resolves when all disks are being copied, and a pull can be read. Whatever fails, nothing of it stays. */
  begin(guest: G, start: BackupStart, signal: AbortSignal): Promise<void>;
  /** The backup that runs, also one that an earlier process of ours began. */
  running(guest: G): RunningBackup | undefined;
  /**
   * After a restart of ours: what was begun is made whole, or has come to nothing. The backup that runs; of one that has ended
   * meanwhile that is told.
   * @throws OPERATION_TIMEOUT while the hypervisor does not say whether it has begun
   */
  resume(guest: G, signal: AbortSignal): Promise<RunningBackup | undefined>;
  progress(guest: G, signal: AbortSignal): Promise<Progress>;
  /** Resolves when it has been told to end. */
  abort(guest: G): Promise<void>;
}
