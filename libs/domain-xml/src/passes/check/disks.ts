/** Disks: targets, buses, sources, what goes together. */
import { isRemovable, type Disk } from '../../elements/disk';
import type { StorageSource } from '../../elements/storage-source';
import { lineOf } from '../../schema';
import { diskIndex } from '../controllers';
import { iotuneFault } from './iotune';
import type { Rule } from './rule';

const place = (disk: Disk) => ({ element: 'disk', line: lineOf(disk) });

const pathOf = (source: StorageSource | undefined): string =>
  source?.file ?? source?.dev ?? source?.dir ?? source?.name ?? '';

const targets: Rule = ({ domain: { devices }, faults }) => {
  const seen = new Map<string, Disk>();
  for (const disk of devices.disks) {
    const { dev, bus } = disk.target;
    if (dev === undefined) {
      faults.add('XML_ERROR', 'disk has no target dev', place(disk));
      continue;
    }
    const other = seen.get(dev);
    if (other)
      faults.add(
        'XML_ERROR',
        `target '${dev}' duplicated for disk sources '${pathOf(other.source)}' and '${pathOf(disk.source)}'. Each disk needs a name of its own`,
        place(disk),
      );
    seen.set(dev, disk);
    if (/^(ide|scsi|sata|virtio|usb|xen)$/.test(bus ?? '') && /\d$/.test(dev) && /^[hsvx]v?d[a-z]+\d+$/.test(dev))
      faults.add(
        'CONFIG_UNSUPPORTED',
        `invalid disk target '${dev}', partitions can't appear in disk targets`,
        place(disk),
      );
    else if (diskIndex(dev) === undefined && disk.address === undefined)
      faults.add('XML_ERROR', `Unknown disk name '${dev}' and no address specified`, place(disk));
  }
};

const addressTypes: Readonly<Record<string, readonly string[]>> = {
  ide: ['drive'],
  sata: ['drive'],
  scsi: ['drive'],
  fdc: ['drive'],
  usb: ['usb'],
  virtio: ['pci', 'ccw', 'virtio-mmio'],
};

const addresses: Rule = ({ domain: { devices }, faults }) => {
  const seen = new Map<string, Disk>();
  for (const disk of devices.disks) {
    const { address, target } = disk;
    if (address === undefined) continue;
    const allowed = addressTypes[target.bus ?? ''];
    if (allowed && !allowed.includes(address.type) && address.type !== 'unassigned')
      faults.add(
        'CONFIG_UNSUPPORTED',
        `Invalid address type '${address.type}' for the disk '${target.dev}' with the bus type '${target.bus}'`,
        place(disk),
      );
    if (address.type !== 'drive') continue;
    const key = `${target.bus} ${address.controller} ${address.bus} ${address.target} ${address.unit}`;
    const words = `controller='${address.controller}' bus='${address.bus}' target='${address.target}' unit='${address.unit}'`;
    if (seen.has(key))
      faults.add(
        'XML_ERROR',
        `Found duplicate drive address for disk with target name '${target.dev}' ${words}`,
        place(disk),
      );
    seen.set(key, disk);
    const taken =
      target.bus === 'scsi' &&
      devices.hostdevs.some(
        ({ type, address: other }) =>
          type === 'scsi' &&
          other?.type === 'drive' &&
          `scsi ${other.controller} ${other.bus} ${other.target} ${other.unit}` === key,
      );
    if (taken)
      faults.add(
        'CONFIG_UNSUPPORTED',
        `using disk target name '${target.dev}' conflicts with SCSI host device address ${words.replace(/'$/, '')}`,
        place(disk),
      );
  }
};

const media: Rule = ({ domain: { devices }, faults }) => {
  for (const disk of devices.disks) {
    const refuse = (detail: string): void => faults.add('CONFIG_UNSUPPORTED', detail, place(disk));
    const { bus, dev } = disk.target;
    const empty =
      disk.source === undefined ||
      (disk.type === 'file' && disk.source.file === undefined) ||
      (disk.type === 'block' && disk.source.dev === undefined);
    if (empty && bus === 'usb' && disk.device === 'cdrom') refuse(`'${bus}' disk must not be empty`);
    if (empty && disk.device === 'disk') refuse(`disk '${dev}' must have a source`);
    if (disk.device === 'floppy' && bus !== 'fdc') refuse(`unexpected bus type '${bus}' for floppy disk`);
    if (disk.shareable && disk.driver?.type !== undefined && disk.driver.type !== 'raw')
      refuse(`shared access for disk '${dev}' requires use of supported storage format`);
    if (disk.vendor !== undefined && bus !== 'scsi') refuse("Only scsi disk supports 'vendor'");
    if (disk.product !== undefined && bus !== 'scsi' && bus !== 'sata' && bus !== 'ide')
      refuse("Only scsi disk supports 'product'");
    const contradiction = disk.iotune && iotuneFault(disk.iotune);
    if (contradiction)
      faults.add(
        contradiction.kind === 'mixed' ? 'XML_ERROR' : 'CONFIG_UNSUPPORTED',
        contradiction.detail,
        place(disk),
      );
    if (disk.throttlefilters && disk.iotune)
      faults.add(
        'OPERATION_UNSUPPORTED',
        `block 'throttlefilters' can't be used together with 'iotune' for disk '${dev}'`,
        place(disk),
      );
  }
};

const policies: Rule = ({ domain: { devices }, faults }) => {
  for (const disk of devices.disks) {
    const { startupPolicy } = disk.source ?? {};
    const refuse = (why: string): void =>
      faults.add('XML_ERROR', `startupPolicy '${startupPolicy}' of disk '${disk.target.dev}' ${why}`, place(disk));
    if (startupPolicy !== undefined && disk.type === 'network') refuse('is not for disks of type network');
    else if (startupPolicy === 'requisite' && !isRemovable(disk))
      refuse("is only for cdroms and floppies: a hard disk can be 'optional'");
  }
};

const secretTypes: Readonly<Record<string, string>> = { rbd: 'ceph', iscsi: 'iscsi' };

const sources: Rule = ({ domain: { devices }, faults }) => {
  for (const disk of devices.disks) {
    const refuse = (detail: string): void => faults.add('CONFIG_UNSUPPORTED', detail, place(disk));
    const { source } = disk;
    if (disk.auth && source?.auth) refuse('an <auth> definition already found for disk source');
    if (source?.protocol === 'sheepdog') refuse("'sheepdog' protocol is no longer supported by any hypervisor driver");
    const auth = source?.auth ?? disk.auth;
    const wanted = secretTypes[source?.protocol ?? ''];
    if (auth && auth.secret.type === undefined) refuse("unknown secret type '<null>'");
    else if (auth && wanted && auth.secret.type !== wanted) refuse(`invalid secret type '${auth.secret.type}'`);
  }
};

export const diskConflicts: readonly Rule[] = [targets, addresses];
export const diskRules: readonly Rule[] = [...diskConflicts, media, policies, sources];
