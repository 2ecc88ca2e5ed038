/** Disks of a running guest: their size, limits on their traffic, write thresholds, errors. */
import { chainLayers, diskNamed, ioThrottle, isEmptyDrive, nodeImages, type Disk } from '@virtbus/domain-xml';
import type { Facets } from '@virtbus/driver-runtime';
import { VirtError } from '@virtbus/shared';
import { nodeSource, type BlockHost } from '../block-jobs/nodes';
import { sizeOnHost, sizesOf } from '../disk-sizes';
import type { QemuGuest } from '../guest';
import { untilAnswered } from '../until-known';
import { armThreshold } from '../write-threshold';

type Disks = NonNullable<Facets<QemuGuest>['disks']>;

export const disksFacet = (host: BlockHost): Disks => ({
  resize: (guest, disk, size, signal) => resize(host, guest, disk, size, signal),
  limit: async (guest, target, limited) => {
    const disk = diskNamed(limited(guest.live), target);
    if (isEmptyDrive(disk))
      throw new VirtError('OPERATION_INVALID', {
        detail: `drive '${target}' has no medium; its limits can be changed in the definition`,
      });
    // An answer that is lost leaves open whether QEMU has them; they may be set twice.
    await answered(guest, () => guest.askRaw('block_set_io_throttle', ioThrottle(disk)));
    // The document may have changed meanwhile.
    guest.live = limited(guest.live);
  },
  setThreshold: (guest, image, bytes, signal) => armThreshold(guest, image, bytes, signal),
  sizes: (guest, disk, signal) => sizesOf(host, guest, disk, signal),
  errors: async (guest, signal) => {
    // An error stops the guest; once it runs again QEMU goes on telling of it.
    if (guest.state.state === 'running') return [];
    const drives = await guest.ask('query-block', undefined, signal);
    return guest.live.devices.disks.flatMap((disk) => {
      const status = drives.find(({ qdev }) => disk.alias && isPartOf(disk.alias.name, qdev))?.['io-status'] ?? 'ok';
      if (status === 'ok') return [];
      return [{ disk: targetOf(disk), error: status === 'nospace' ? ('no-space' as const) : ('unspecified' as const) }];
    });
  },
});

const targetOf = ({ target }: Disk): string => target.dev ?? '';

/** @param qdev as QEMU tells it: the device's id, or the path of a part of it */
export const isPartOf = (id: string, qdev: string | undefined): boolean =>
  qdev === id || qdev?.startsWith(`/machine/peripheral/${id}/`) === true;

/** Limits that a document asks for, once the device is there. */
export async function applyLimits(guest: QemuGuest, disk: Disk, signal?: AbortSignal): Promise<void> {
  if (disk.iotune && !isEmptyDrive(disk)) await guest.askRaw('block_set_io_throttle', ioThrottle(disk), signal);
}

/** The guest has the disk by now: what became of it is only told with its limits, or their refusal. */
export async function limitDisk(guest: QemuGuest, disk: Disk): Promise<void> {
  await answered(guest, () => applyLimits(guest, disk));
}

async function answered(guest: QemuGuest, work: () => Promise<unknown>): Promise<void> {
  if (await untilAnswered(guest, work)) return;
  throw new VirtError('OPERATION_INVALID', { detail: 'domain is not running' });
}

const sector = 512;

async function resize(
  host: BlockHost,
  guest: QemuGuest,
  disk: Disk,
  { bytes, capacity, shrink }: Parameters<Disks['resize']>[2],
  signal: AbortSignal,
): Promise<number> {
  mustBeResizable(guest, disk);
  const wanted = capacity ? await wholeCapacity(disk, bytes) : Math.ceil((bytes ?? 0) / sector) * sector;
  const node = chainLayers(nodeSource(host, guest), disk)[0]?.top ?? '';
  const nodes = nodeImages(await guest.ask('query-named-block-nodes', { flat: true }, signal));
  const now = nodes.get(node)?.capacity ?? 0;
  if (wanted < now && !shrink)
    throw new VirtError('OPERATION_INVALID', {
      detail: `disk '${targetOf(disk)}' has ${now} bytes: ${wanted} would cut its end off with all that is in it; ask for that with 'shrink'`,
    });
  await guest.ask('block_resize', { 'node-name': node, size: wanted }, signal);
  return wanted;
}

function mustBeResizable(guest: QemuGuest, disk: Disk): void {
  const target = targetOf(disk);
  if (disk.type === 'vhostuser')
    throw new VirtError('OPERATION_UNSUPPORTED', { detail: 'block resize is not supported for vhostuser disk' });
  if (isEmptyDrive(disk) || disk.readonly || disk.device === 'cdrom')
    throw new VirtError('OPERATION_INVALID', { detail: `can't resize empty or readonly disk '${target}'` });
  if (disk.source?.slices?.slices.length)
    throw new VirtError('OPERATION_UNSUPPORTED', {
      detail: `disk '${target}' is a slice of its image, which cannot grow`,
    });
  guest.blockJobs.refuseBusy(target);
}

/** All that there is of what a raw image lies in. @param asked what the caller believes that to be */
async function wholeCapacity(disk: Disk, asked: number | undefined): Promise<number> {
  if ((disk.driver?.type ?? 'raw') !== 'raw')
    throw new VirtError('OPERATION_UNSUPPORTED', {
      detail: "block resize to full capacity supported only with 'raw' disks",
    });
  const found = await sizeOnHost(disk);
  if (found === undefined)
    throw new VirtError('OPERATION_UNSUPPORTED', {
      detail: `nobody can tell the capacity of disk '${targetOf(disk)}'`,
    });
  if (asked !== undefined && asked !== found.physical)
    throw new VirtError('INVALID_ARG', {
      detail: `block resize size (${asked}) doesn't match the capacity of the disk (${found.physical})`,
    });
  return found.physical;
}
