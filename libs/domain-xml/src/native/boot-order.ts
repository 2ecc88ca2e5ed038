/** `bootindex` on devices, as the shorter `<boot dev=…/>` where both say the same. */
import type { Draft } from './draft';

type Bootable = { boot?: { order?: number | undefined } | undefined };

/** libvirt gives the n-th `<boot dev>` to the first device of its kind; the same indexes are told that way. */
export function useBootDevices(domain: Draft['domain']): void {
  const { disks = [], interfaces = [], hostdevs = [], filesystems = [] } = domain.devices;
  const firstOf = (device: string): Bootable | undefined => disks.find((disk) => disk.device === device);
  const firsts = new Map<Bootable | undefined, 'hd' | 'cdrom' | 'fd' | 'network'>([
    [firstOf('disk'), 'hd'],
    [firstOf('cdrom'), 'cdrom'],
    [firstOf('floppy'), 'fd'],
    [interfaces[0], 'network'],
  ]);
  const all: Bootable[] = [...disks, ...interfaces, ...hostdevs, ...filesystems];
  const ordered = all.filter(({ boot }) => boot?.order !== undefined).sort((a, b) => a.boot!.order! - b.boot!.order!);
  if (ordered.length === 0) return;
  const kinds = ordered.map((device, position) =>
    device.boot!.order === position + 1 ? firsts.get(device) : undefined,
  );
  const named = kinds.filter((kind) => kind !== undefined);
  if (named.length < kinds.length || (domain.os?.boot ?? []).length > 0) {
    // An order on a device and one by kind exclude each other; the devices' own is what QEMU follows first.
    delete domain.os?.boot;
    return;
  }
  for (const device of ordered) delete device.boot;
  domain.os = { ...domain.os, boot: named.map((dev) => ({ dev })) };
}
