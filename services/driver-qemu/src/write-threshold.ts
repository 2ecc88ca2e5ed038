/**
 * Write thresholds: QEMU tells once when something is written beyond an offset of an image's storage, and forgets the threshold
 * then. An image is told by its number, and the active one also as its disk, unless it was set by number. (libvirt's event 24)
 */
import { deviceImage, imageNumbered, type DiskImage } from '@virtbus/domain-xml';
import { VirtError } from '@virtbus/shared';
import type { QemuGuest } from './guest';
import type { QmpEventMap } from './qmp';

/** @param name as callers have it: `vda`, `vda[3]` @param bytes 0: no threshold */
export async function armThreshold(guest: QemuGuest, name: string, bytes: number, signal: AbortSignal): Promise<void> {
  const { image } = deviceImage(guest.live, name);
  const { index } = image.source;
  if (index === undefined)
    throw new VirtError('OPERATION_UNSUPPORTED', {
      detail: `threshold currently can't be set for block device '${name}'`,
    });
  await guest.ask('block-set-write-threshold', { 'node-name': storageNode(index), 'write-threshold': bytes }, signal);
  const others = (guest.saved.numberedThresholds ?? []).filter((one) => one !== index);
  guest.saved.numberedThresholds = name.endsWith(']') ? [...others, index] : others;
  guest.tellSaved();
}

/** Tells of what QEMU has told. */
export function thresholdExceeded(guest: QemuGuest, data: QmpEventMap['BLOCK_WRITE_THRESHOLD']): void {
  const index = Number(/^libvirt-(\d+)-storage$/.exec(data['node-name'])?.[1]);
  const found = imageNumbered(guest.live.devices.disks, index);
  if (!found) return;
  const target = found.disk.target.dev ?? '';
  const byNumber = guest.saved.numberedThresholds?.includes(index) === true;
  const names = found.depth === 0 && !byNumber ? [target, `${target}[${index}]`] : [`${target}[${index}]`];
  for (const image of names) {
    guest.tell({
      kind: 'event',
      class: 'block-threshold',
      type: 'exceeded',
      data: {
        image,
        ...pathOf(found.image),
        threshold: data['write-threshold'],
        excess: data['amount-exceeded'],
      },
    });
  }
}

const storageNode = (index: number): string => `libvirt-${index}-storage`;

function pathOf({ type, source }: DiskImage): { path?: string } {
  const path = type === 'block' ? source.dev : source.file;
  return path === undefined ? {} : { path };
}
