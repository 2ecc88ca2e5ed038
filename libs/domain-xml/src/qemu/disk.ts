/** Disks: the guest's side, as `-device` options; empty drives and SD cards included. */
import type { Disk } from '../elements/disk';
import { diskIndex, findController } from '../passes/controllers';
import { isPseries } from '../passes/machine';
import { diskBlocks, type BlockStep, type DiskBlocks } from './blockdev';
import { bootIndex, bootProps } from './boot-order';
import { reconnectOptions } from './character-backend';
import { aliasOf, unsupported, type DiskNodes, type Guest } from './context';
import { addressProps, controllerAlias } from './device-address';
import { iothreadMapping } from './iothreads';
import { nonZero, onOrOff, props, words, type LooseProps, type Props } from './props';
import { virtioProps } from './virtio';
import type { CommandWords } from './words';

/** Writes nodes and devices of all disks that are there from the start. */
export function addDisks(
  out: CommandWords,
  guest: Guest,
  filters: ReadonlyMap<string, readonly number[]>,
): DiskNodes[] {
  const disks = guest.domain.devices.disks.filter((disk) => !isPluggedLater(disk));
  for (const disk of disks) addFloppyBoot(out, guest, disk);
  // Sets of descriptors are numbered like images: from the last disk to the first.
  const blocks = new Map<Disk, DiskBlocks>();
  for (const disk of [...disks].reverse())
    if (disk.type !== 'vhostuser' && disk.target.bus !== 'sd')
      blocks.set(disk, diskBlocks(guest, disk, filters.get(disk.target.dev ?? '') ?? [], out));
  return disks.map((disk) => addDisk(out, guest, disk, blocks.get(disk)));
}

/** Its overlay can only be made with QEMU's help. */
export const isPluggedLater = ({ transient }: Disk): boolean => transient?.shareBacking === true;

function addFloppyBoot(out: CommandWords, { domain }: Guest, disk: Disk): void {
  const order = bootIndex(domain, disk);
  if (disk.target.bus === 'fdc' && order !== undefined)
    out.add('-global', `isa-fdc.bootindex${diskIndex(disk.target.dev ?? '') === 1 ? 'B' : 'A'}=${order}`);
}

function addDisk(out: CommandWords, guest: Guest, disk: Disk, blocks: DiskBlocks | undefined): DiskNodes {
  const nodes = { alias: aliasOf(disk), target: disk.target.dev ?? '' };
  if (disk.target.bus === 'sd') {
    out.add('-drive', sdCardWords(disk));
    return { ...nodes, names: [], top: undefined };
  }
  if (disk.type === 'vhostuser') out.add('-chardev', vhostUserChardev(guest, disk));
  const { steps = [], top } = blocks ?? {};
  addBlockSteps(out, steps);
  out.device(diskProps(guest, disk, top));
  return { ...nodes, names: nodeNames(steps), top };
}

function nodeNames(steps: readonly BlockStep[]): string[] {
  return steps.flatMap((step) => {
    const name = step.kind === 'node' ? step.props['node-name'] : undefined;
    return typeof name === 'string' ? [name] : [];
  });
}

export function addBlockSteps(out: CommandWords, steps: readonly BlockStep[]): void {
  for (const step of steps) {
    if (step.kind === 'object') out.object(step.props);
    else if (step.kind === 'node') out.blockdev(step.props);
    else for (const { fd, opaque } of step.members) out.addToFdSet(step.set, fd, opaque);
  }
}

/** SD cards have no device of their own: the board has a slot, and only `-drive` fills it. */
function sdCardWords(disk: Disk): string {
  return words('', {
    file: disk.source?.file ?? disk.source?.dev ?? unsupported('an SD card needs a local image'),
    format: disk.driver?.type ?? 'raw',
    if: 'sd',
    index: diskIndex(disk.target.dev ?? '') ?? 0,
  });
}

/** The chardev of a disk that another process serves. */
export const vhostUserChardevId = (device: Parameters<typeof aliasOf>[0]): string => `chr-vu-${aliasOf(device)}`;

function vhostUserChardev(guest: Guest, disk: Disk): string {
  const { path, reconnect } = disk.source ?? {};
  return words('socket', {
    id: vhostUserChardevId(disk),
    path,
    ...reconnectOptions(guest, reconnect),
  });
}

/** Arguments of `device_add` for a disk. @param node that it reads and writes; undefined for an empty drive */
export function diskProps(guest: Guest, disk: Disk, node: string | undefined): Props {
  const isVhostUser = disk.type === 'vhostuser';
  return props(placeProps(guest, disk), {
    'share-rw': disk.shareable && !isVhostUser ? true : undefined,
    drive: node,
    chardev: isVhostUser ? vhostUserChardevId(disk) : undefined,
    id: aliasOf(disk),
    ...(disk.target.bus === 'fdc' ? {} : frontendProps(guest, disk)),
  });
}

function frontendProps(guest: Guest, disk: Disk): LooseProps {
  const { blockio, geometry, driver, target } = disk;
  return {
    ...bootProps(guest, disk),
    logical_block_size: nonZero(blockio?.logical_block_size),
    physical_block_size: nonZero(blockio?.physical_block_size),
    discard_granularity: blockio?.discard_granularity,
    wwn: disk.wwn === undefined ? undefined : BigInt(disk.wwn.startsWith('0x') ? disk.wwn : `0x${disk.wwn}`),
    rotation_rate: nonZero(target.rotation_rate),
    vendor: disk.vendor,
    [target.bus === 'sata' || target.bus === 'ide' ? 'model' : 'product']: disk.product,
    removable: removable(disk),
    'write-cache': writeCache(disk),
    cyls: nonZero(geometry?.cyls),
    heads: nonZero(geometry?.heads),
    secs: nonZero(geometry?.secs),
    'bios-chs-trans': geometry?.trans,
    serial: disk.device === 'lun' ? undefined : disk.serial && escapeSerial(disk.serial),
    ...errorPolicy(driver),
  };
}

/** Blanks have always been given escaped; guests have seen it so. */
const escapeSerial = (serial: string): string => serial.replace(/ /g, '\\ ');

function removable({ target, device }: Disk): boolean | undefined {
  if (target.removable !== undefined) return target.removable;
  return target.bus === 'usb' && device === 'disk' ? false : undefined;
}

function writeCache({ driver, device }: Disk): string | undefined {
  const mode = driver?.cache;
  if (mode === undefined || mode === 'default' || device === 'lun' || device === 'cdrom') return undefined;
  return onOrOff(mode !== 'writethrough' && mode !== 'directsync');
}

function errorPolicy(driver: Disk['driver']): LooseProps {
  const write = driver?.error_policy;
  if (write === 'enospace') return { werror: 'enospc', rerror: driver?.rerror_policy };
  return { werror: write, rerror: driver?.rerror_policy ?? write };
}

/** Driver and place on its bus. */
function placeProps(guest: Guest, disk: Disk): LooseProps {
  const { target, driver, address } = disk;
  switch (target.bus) {
    case 'virtio':
      return {
        ...virtioProps(disk.type === 'vhostuser' ? 'vhost-user-blk' : 'virtio-blk', disk, driver, disk.model),
        iothread: driver?.iothread === undefined ? undefined : `iothread${driver.iothread}`,
        ioeventfd: driver?.ioeventfd,
        event_idx: driver?.event_idx,
        'num-queues': driver?.queues,
        'queue-size': driver?.queue_size,
        'iothread-vq-mapping': iothreadMapping(driver?.iothreads),
        ...addressProps(guest, disk),
      };
    case 'usb':
      return { driver: 'usb-storage', ...addressProps(guest, disk) };
    case 'fdc':
      if (isPseries(guest.domain)) unsupported('PowerPC pseries machines do not support floppy device');
      return { driver: 'floppy', unit: address?.type === 'drive' ? address.unit : 0 };
    case 'ide':
    case 'sata':
    case 'scsi':
      return driveProps(guest, disk, target.bus);
    default:
      return unsupported(`cannot use disk '${target.dev ?? ''}' with bus '${target.bus ?? 'none'}'`);
  }
}

function driveProps(guest: Guest, disk: Disk, bus: 'ide' | 'sata' | 'scsi'): LooseProps {
  const { address } = disk;
  if (address?.type !== 'drive') return unsupported(`unexpected address type for ${bus} disk`);
  const controller = controllerAlias(guest, bus, address.controller);
  const kind = disk.device === 'cdrom' ? 'cd' : 'hd';
  if (bus === 'ide') return { driver: `ide-${kind}`, bus: `${controller}.${address.bus}`, unit: address.unit };
  if (bus === 'sata') return { driver: `ide-${kind}`, bus: `${controller}.${address.unit}` };
  const isLsi = findController(guest.domain, 'scsi', address.controller)?.model === 'lsilogic';
  return {
    driver: disk.device === 'lun' ? 'scsi-block' : `scsi-${kind}`,
    bus: `${controller}.0`,
    ...(isLsi ? { 'scsi-id': address.unit } : { channel: address.bus, 'scsi-id': address.target, lun: address.unit }),
    device_id: disk.device === 'lun' ? undefined : (disk.serial ?? `drive-${aliasOf(disk)}`),
  };
}
