/** What is kept on disk of a backup, from before QEMU hears of it until its end has been told. Plain JSON. */
import type { Disk } from '@virtbus/domain-xml';
import type { JobEnd, SavedJob } from '../block-jobs';

export interface SavedBackup {
  /** Libvirt's <domainbackup>, in its stored form. */
  xml: string;
  /** Id of the command. */
  command: string;
  /** Milliseconds since 1970. */
  began: number;
  /** All disks are being copied, and a pull can be read. Until then nobody has been told of it. */
  begun: boolean;
  /** Why it is ended: nobody can read it. */
  failed?: string | undefined;
  /** Of a pull: where QEMU listens. */
  server?: NbdAddress | undefined;
  /** It is read with certificates. */
  tls?: boolean | undefined;
  disks: SavedBackupDisk[];
}

export interface SavedBackupDisk {
  /** Target of the disk, and name of the export. */
  disk: string;
  exportName: string;
  /** Bytes to copy, as far as it is known beforehand. */
  total: number;
  end?: JobEnd | undefined;
}

/** As QMP's `nbd-server-start` takes it. */
export type NbdAddress =
  { type: 'unix'; data: { path: string } } | { type: 'inet'; data: { host: string; port: string } };

/** What a disk's job needs to be finished, also when nothing else is left. */
export interface BackupDetails {
  /** The image that is written to, as a disk of its own, numbered. */
  store: Disk;
  /** The guest's blocks are kept in it while somebody reads over NBD. */
  pull: boolean;
  /** It was made for this backup. */
  made: boolean;
  /** A bitmap that lives as long as the job, and the node that it is on. */
  bitmap?: { node: string; name: string } | undefined;
}

export type BackupJob = SavedJob<BackupDetails>;
