/** What all virtio devices share: how QEMU calls them on each bus, and their common options. */
import type { DeviceInfo } from '../elements/device-info';
import { unsupported } from './context';
import type { LooseProps } from './props';

interface VirtioOptions {
  iommu?: boolean | undefined;
  ats?: boolean | undefined;
  packed?: boolean | undefined;
  page_per_vq?: boolean | undefined;
}

/** `virtio-rng` is `virtio-rng-pci`, `-ccw` or `-device`; on PCI also `-transitional` or `-non-transitional`. */
export function virtioDriver(name: string, { address }: DeviceInfo, model?: string): string {
  const bus = address?.type;
  const suffix = bus === 'pci' ? '-pci' : bus === 'ccw' ? '-ccw' : bus === 'virtio-mmio' ? '-device' : undefined;
  if (suffix === undefined)
    return unsupported(
      `unexpected address type ${bus ?? 'none'} for a virtio device; it sits on pci, ccw or virtio-mmio`,
    );
  const kind = /^virtio-(transitional|non-transitional)$/.exec(model ?? '')?.[1];
  return kind === undefined ? `${name}${suffix}` : `${name}${suffix}-${kind}`;
}

export function virtioProps(name: string, device: DeviceInfo, options: VirtioOptions = {}, model?: string): LooseProps {
  return { driver: virtioDriver(name, device, model), ...virtioOptionProps(options) };
}

export function virtioOptionProps(options: VirtioOptions = {}): LooseProps {
  return {
    iommu_platform: options.iommu,
    ats: options.ats,
    packed: options.packed,
    'page-per-vq': options.page_per_vq,
  };
}
