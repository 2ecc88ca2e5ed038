/** The files that a guest needs on this host, and what it does with each. */
import { existsSync } from 'node:fs';
import { isEmptyDrive, numberImages, withChain, type Device, type Disk, type Domain } from '@virtbus/domain-xml';
import { VirtError, type ChainDocument } from '@virtbus/shared';
import { onTap, tunDevice } from './networks';
import { usbNode } from './usb-devices';

type Hostdev = Domain['devices']['hostdevs'][number];

export interface NeededFile {
  path: string;
  need: 'read' | 'write';
  what: string;
}

export function neededFiles(domain: Domain): NeededFile[] {
  const { os, devices } = domain;
  const boot: NeededFile[] = [
    ...named(os.kernel, 'kernel'),
    ...named(os.initrd, 'initrd'),
    ...named(os.dtb, 'dtb'),
    ...named(os.loader?.path, 'loader'),
  ];
  const nvram = os.nvram?.path;
  return [
    ...boot,
    ...(nvram && existsSync(nvram) ? [{ path: nvram, need: 'write', what: 'nvram' } as const] : []),
    ...devices.disks.flatMap(filesOfDisk),
    ...devices.hostdevs.flatMap(filesOfHostdev),
    ...(devices.interfaces.some(onTap) ? [{ path: tunDevice, need: 'write', what: 'taps' } as const] : []),
  ];
}

const named = (path: string | undefined, what: string): NeededFile[] =>
  path ? [{ path, need: 'read' as const, what }] : [];

/** The active layer as the guest uses it; the layers below are only read. */
export function filesOfDisk(disk: Disk): NeededFile[] {
  const what = `disk ${disk.target.dev ?? ''}`.trim();
  const path = localPath(disk.source);
  const writes = !disk.readonly && disk.device !== 'cdrom';
  const need = writes ? 'write' : 'read';
  const files: NeededFile[] = [...one(path, need, what), ...one(dataOf(disk.source), need, `${what}, data file`)];
  for (let layer = disk.backingStore; layer; layer = layer.backingStore) {
    const below = `${what}, backing layer`;
    files.push(...one(localPath(layer.source), 'read', below), ...one(dataOf(layer.source), 'read', `${below}'s data`));
  }
  return files;
}

/** Of a device that joins a running guest, or leaves it. */
export function filesOfDevice({ list, value }: Device): NeededFile[] {
  if (list === 'disks') return filesOfDisk(value);
  return list === 'hostdevs' ? filesOfHostdev(value) : [];
}

const filesOfHostdev = (hostdev: Hostdev): NeededFile[] => one(usbNode(hostdev), 'write', 'USB device');

const one = (path: string | undefined, need: NeededFile['need'], what: string): NeededFile[] =>
  path ? [{ path, need, what }] : [];

const dataOf = (source: Disk['source']): string | undefined => localPath(source?.dataStore?.source);

function localPath(source: Disk['source']): string | undefined {
  return source?.file ?? source?.dev;
}

/**
 * The disk with its whole chain, as storage has found it out. QEMU is told every layer and opens nothing that only a header
 * names, so a disk that nobody has looked at is refused.
 */
export function describeChain(disk: Disk, chain: ChainDocument | undefined): Disk {
  if (isEmptyDrive(disk)) return disk;
  if (chain) return withChain(disk, chain);
  const detail = `nobody has found out what disk ${disk.target.dev ?? ''} stands on; is the storage service running on this host?`;
  throw new VirtError('OPERATION_FAILED', { detail });
}

/** The whole domain with its chains. Numbers go to what the document names first, then to what was found below it. */
export function describeChains(domain: Domain, chains: ReadonlyMap<string, ChainDocument>): Domain {
  const { domain: numbered } = numberImages(domain);
  const disks = numbered.devices.disks.map((disk) => describeChain(disk, chains.get(disk.target.dev ?? '')));
  return { ...numbered, devices: { ...numbered.devices, disks } };
}
