/** What QEMU cannot keep of a domain's disks, in libvirt's words. */
import { existsSync } from 'node:fs';
import { isEmptyDrive, type Disk, type Domain } from '@virtbus/domain-xml';
import type { Snapshot, SnapshotDisk } from '@virtbus/domain-xml/snapshot';
import { VirtError } from '@virtbus/shared';

const overlayFormats: readonly string[] = ['qcow2', 'qed'];
const localTypes: readonly string[] = ['file', 'block', 'volume'];

function refuse(detail: string): never {
  throw new VirtError('CONFIG_UNSUPPORTED', { detail });
}

export function checkSnapshot(domain: Domain, snapshot: Snapshot, active: boolean): void {
  for (const asked of snapshot.disks) {
    const disk = domain.devices.disks.find(({ target }) => target.dev === asked.name);
    if (!disk) continue;
    if (asked.snapshot === 'internal') checkInternal(disk, asked.name, snapshot, active);
    if (asked.snapshot === 'external') checkExternal(disk, asked, active);
    if (asked.snapshot === 'manual') refuse(`manual snapshots of disk '${asked.name}' are not supported`);
    if (asked.snapshot === 'no' && isWritable(disk) && snapshot.memory?.snapshot === 'internal')
      refuse('internal snapshots and checkpoints require all disks to be selected for snapshot');
  }
  const file = snapshot.memory?.file;
  if (file !== undefined && existsSync(file)) {
    throw new VirtError('OPERATION_FAILED', { detail: `external memory snapshot file '${file}' already exists` });
  }
  if (snapshot.memory?.snapshot === 'internal') checkTag(snapshot.name);
  if (snapshot.memory?.snapshot === 'internal' && domain.os.loader?.type === 'pflash' && !hasQcow2Nvram(domain))
    refuse('internal snapshots of a VM with pflash based firmware require QCOW2 nvram format');
}

/** Numbers of snapshots within an image count up from 1; what is longer none of them gets to. */
const number = /^[1-9]\d{0,6}$/;

/** QEMU loads the memory of the snapshot that has the number, if there is one, whatever its name. */
function checkTag(name: string): void {
  if (!number.test(name)) return;
  const detail = `a snapshot with its memory within the disks cannot be named '${name}': QEMU would take that for the number of a snapshot; choose a name with a letter in it`;
  throw new VirtError('OPERATION_UNSUPPORTED', { detail });
}

const isWritable = (disk: Disk): boolean => !disk.readonly && !isEmptyDrive(disk);

const hasQcow2Nvram = ({ os }: Domain): boolean => os.nvram?.format === 'qcow2';

function checkInternal({ type, driver }: Disk, name: string, { state }: Snapshot, active: boolean): void {
  if (active && state === 'disk-snapshot')
    refuse(`active qemu domains require external disk snapshots; disk ${name} requested internal`);
  // Its pool tells, once it has been asked where the volume lies.
  if (type === 'volume' && driver?.type === undefined) return;
  const format = driver?.type ?? 'raw';
  if (!localTypes.includes(type) || format !== 'qcow2')
    refuse(`internal snapshot for disk ${name} unsupported for storage type ${format}`);
}

function checkExternal(disk: Disk, { name, type = 'file', driver, source }: SnapshotDisk, active: boolean): void {
  const format = driver?.type ?? 'qcow2';
  if (!overlayFormats.includes(format)) refuse(`external snapshot format for disk ${name} is unsupported: ${format}`);
  if (isEmptyDrive(disk)) refuse(`disk '${name}' has no source to make a snapshot of`);
  if (!['file', 'block'].includes(type)) {
    const when = active ? 'active' : 'inactive';
    refuse(
      `external ${when} snapshots are not supported on '${source?.protocol ?? type}' ${source?.protocol ? 'protocol' : 'disks'}`,
    );
  }
  if (disk.transient) refuse(`external snapshots of transient disk '${name}' are not supported`);
  if (disk.target.bus === 'sd') refuse(`disk '${name}' on bus 'sd' does not support snapshotting`);
}
