/** What kind of PCI place each device of a domain wants; devices of other buses want none. */
import type { Domain } from '../../elements/domain';
import type { DeviceInfo } from '../../elements/device-info';
import { lineOf } from '../../schema';
import { hasPcieRoot, hasPciRoot } from '../machine';
import { plugOfController, type Wish } from './pci-buses';

export interface Wanting {
  readonly device: DeviceInfo;
  readonly wish: Wish;
  readonly line: number | undefined;
}

/** Every device that sits on a PCI bus, in the order in which places are given out. */
export function pciDevices(domain: Domain): Wanting[] {
  const { devices } = domain;
  const express = hasPcieRoot(domain);
  const legacy: Wish = { plug: 'pci-device', hotplug: true };
  const modern: Wish = express ? { plug: 'pcie-device', hotplug: true } : legacy;
  const onRoot: Wish = { plug: express ? 'pcie-device' : 'pci-device', integrated: true };
  const virtio = (model: string | undefined): Wish =>
    model?.endsWith('transitional') && model !== 'virtio-non-transitional' ? legacy : modern;
  const list: Wanting[] = [];
  if (!express && !hasPciRoot(domain)) return list;
  const add = (device: DeviceInfo, wish: Wish | undefined): void => {
    const type = device.address?.type;
    if (wish && (type === undefined || type === 'pci'))
      list.push({ device, wish, line: lineOf(device.address) ?? lineOf(device) });
  };
  const ccw = domain.os.type?.arch === 's390x';
  const onPci = (device: DeviceInfo, wish: Wish): void =>
    add(device, ccw && device.address === undefined ? undefined : wish);

  for (const controller of devices.controllers)
    if (controller.type === 'pci') add(controller, plugOfController[controller.model ?? '']);
  for (const one of devices.filesystems) if (one.driver?.type !== 'mtp') onPci(one, virtio(one.model));
  for (const card of devices.interfaces) {
    const model = card.model?.type;
    if (model === 'spapr-vlan' || model === 'smc91c111' || model === 'usb-net' || model === 'lan9118') continue;
    if (card.type === 'hostdev') onPci(card, modern);
    else if (model?.startsWith('virtio')) onPci(card, virtio(model));
    else onPci(card, model === 'e1000e' || model === 'igb' || model === 'vmxnet3' ? modern : legacy);
  }
  for (const sound of devices.sounds) {
    if (sound.model === 'virtio') onPci(sound, modern);
    else if (sound.model !== 'sb16' && sound.model !== 'pcspk' && sound.model !== 'usb') add(sound, legacy);
  }
  for (const controller of devices.controllers) {
    switch (controller.type) {
      case 'usb':
        if (controller.model !== 'none') add(controller, /xhci$/.test(controller.model ?? '') ? modern : legacy);
        break;
      case 'scsi':
        if (controller.model === 'ibmvscsi') break;
        if (controller.model?.startsWith('virtio')) onPci(controller, virtio(controller.model));
        else add(controller, legacy);
        break;
      case 'virtio-serial':
        onPci(controller, virtio(controller.model));
        break;
      case 'ide':
      case 'sata':
        add(controller, legacy);
        break;
      default:
    }
  }
  for (const disk of devices.disks) if (disk.target.bus === 'virtio') onPci(disk, virtio(disk.model));
  for (const hostdev of devices.hostdevs) {
    if (hostdev.type === 'pci' || (hostdev.type === 'mdev' && hostdev.model === 'vfio-pci')) add(hostdev, modern);
    else if (hostdev.type === 'scsi_host') onPci(hostdev, virtio(hostdev.model));
  }
  if (devices.memballoon?.model.startsWith('virtio')) onPci(devices.memballoon, virtio(devices.memballoon.model));
  for (const rng of devices.rngs) onPci(rng, virtio(rng.model));
  for (const watchdog of devices.watchdogs) if (watchdog.model === 'i6300esb') add(watchdog, legacy);
  for (const video of devices.videos) {
    const type = video.model?.type;
    if (type === 'virtio') onPci(video, modern);
    else if (type !== 'none' && type !== 'ramfb') add(video, legacy);
  }
  for (const shmem of devices.shmems) add(shmem, legacy);
  for (const input of devices.inputs) if (input.bus === 'virtio') onPci(input, virtio(input.model));
  for (const serial of devices.serials) if (serial.target?.type === 'pci-serial') add(serial, legacy);
  for (const panic of devices.panics) if (panic.model === 'pvpanic') add(panic, onRoot);
  if (devices.vsock) onPci(devices.vsock, virtio(devices.vsock.model));
  for (const memory of devices.memories)
    if (memory.model === 'virtio-pmem' || memory.model === 'virtio-mem') onPci(memory, modern);
  for (const crypto of devices.cryptos) onPci(crypto, modern);
  if (devices.iommu?.model === 'virtio') add(devices.iommu, onRoot);
  return list;
}
