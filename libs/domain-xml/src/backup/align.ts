/** A backup's disks side by side with the domain's: which ones are copied, since when, and where to. */
import { isEmptyDrive } from '../disk-chain';
import type { Disk } from '../elements/disk';
import type { Domain } from '../elements/domain';
import { isWritten, localPath, matchDisks } from '../moment/domain-disk';
import { emptySource } from '../qemu/block-chain';
import { fail } from '../schema';
import type { Backup } from './documents';
import type { BackupDisk } from './elements';

/** The child of a disk that says where its bytes go, by the backup's mode. */
export const storeOf = (mode: Backup['mode']): 'target' | 'scratch' => (mode === 'push' ? 'target' : 'scratch');

/**
 * A copy whose disks are those of the domain, all of them in its order. A backup that names no disk is one of all that can be
 * written; otherwise the others are left out. A store that is not given is `<image>.<suffix>`. Throws CONFIG_UNSUPPORTED.
 */
export function alignBackup(backup: Backup, domain: Domain, suffix: string): Backup {
  const all = backup.disks.length === 0;
  const disks = matchDisks(domain, backup.disks).map(({ disk, asked }) => {
    const listed = asked ?? { name: disk.target.dev ?? '', backup: all && isWritten(disk) };
    return listed.backup ? alignDisk(backup, disk, listed, suffix) : { name: listed.name, backup: false };
  });
  if (!disks.some((disk) => disk.backup)) fail('CONFIG_UNSUPPORTED', 'no disks to be backed up');
  return { ...backup, disks };
}

function alignDisk(backup: Backup, disk: Disk, asked: BackupDisk, suffix: string): BackupDisk {
  const store = storeOf(backup.mode);
  if (isEmptyDrive(disk)) fail('CONFIG_UNSUPPORTED', `disk '${asked.name}' has no media`);
  if (disk.readonly) fail('CONFIG_UNSUPPORTED', `backup of readonly disk '${asked.name}' makes no sense`);
  const backupmode = asked.backupmode ?? (backup.incremental === undefined ? 'full' : 'incremental');
  const incremental = backupmode === 'incremental' ? (asked.incremental ?? backup.incremental) : undefined;
  if (backupmode === 'incremental' && incremental === undefined)
    fail('CONFIG_UNSUPPORTED', `incremental backup of disk '${asked.name}' needs the checkpoint to begin from`);
  return {
    ...asked,
    type: asked.type ?? 'file',
    backupmode,
    incremental,
    driver: asked.driver?.type === undefined ? { type: 'qcow2' } : asked.driver,
    [store]: asked[store] ?? generatedStore(disk, asked, suffix),
  };
}

function generatedStore(disk: Disk, asked: BackupDisk, suffix: string): NonNullable<BackupDisk['target']> {
  const path = localPath(disk);
  if (disk.type !== 'file' || path === undefined || asked.type === 'block')
    fail('CONFIG_UNSUPPORTED', `refusing to generate file name for disk '${asked.name}'`);
  return { ...emptySource(), file: `${path}.${suffix}` };
}
