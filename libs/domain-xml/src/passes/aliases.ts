/**
 * Names for devices, by which QEMU, events and clients speak of them (facts: libvirt's scheme).
 *
 * A name that is there stays, whether the user chose it (`ua-…`) or an earlier start gave it; so this pass serves a whole guest as
 * well as one more device of it.
 */
import type { Controller } from '../elements/controller';
import type { DeviceInfo } from '../elements/device-info';
import type { Disk } from '../elements/disk';
import type { Domain } from '../elements/domain';
import { copyModel } from '../schema';
import { diskIndex, findController } from './controllers';
import { isI440fx, isQ35 } from './machine';

/** The domain with a name on every device. */
export function assignAliases(domain: Domain): Domain {
  const copy = copyModel(domain);
  nameDevices(copy);
  return copy;
}

const dimmPrefix: Readonly<Record<string, string>> = {
  dimm: 'dimm',
  nvdimm: 'nvdimm',
  'virtio-pmem': 'virtiopmem',
  'virtio-mem': 'virtiomem',
  'sgx-epc': 'epc',
};

export function nameDevices(domain: Domain): void {
  const { devices } = domain;
  for (const controller of devices.controllers) name(controller, controllerAlias(domain, controller));
  for (const disk of devices.disks) name(disk, diskAlias(domain, disk));
  count(devices.interfaces, 'net');
  count(devices.filesystems, 'fs');
  count(devices.sounds, 'sound');
  count(devices.hostdevs, 'hostdev');
  count(devices.redirdevs, 'redir');
  count(devices.videos, 'video');
  count(devices.serials, 'serial');
  count(devices.parallels, 'parallel');
  count(devices.channels, 'channel');
  nameConsoles(domain);
  count(devices.hubs, 'hub');
  count(devices.shmems, 'shmem');
  count(devices.smartcards, 'smartcard');
  count(devices.inputs, 'input');
  count(devices.watchdogs, 'watchdog');
  if (devices.memballoon) name(devices.memballoon, 'balloon0');
  count(devices.rngs, 'rng');
  count(devices.tpms, 'tpm');
  for (const [model, prefix] of Object.entries(dimmPrefix))
    count(
      devices.memories.filter((one) => one.model === model),
      prefix,
    );
  count(devices.panics, 'panic');
  count(devices.cryptos, 'crypto');
  if (devices.vsock) name(devices.vsock, 'vsock0');
  if (devices.iommu) name(devices.iommu, 'iommu0');
  if (devices.pstore) name(devices.pstore, 'pstore0');
}

function name(device: DeviceInfo, alias: string): void {
  device.alias ??= { name: alias };
}

/** Numbers those without a name on from the highest number in use. */
function count(list: DeviceInfo[], prefix: string): void {
  let next = 0;
  for (const { alias } of list) {
    const used = alias?.name.startsWith(prefix) ? Number(alias.name.slice(prefix.length)) : NaN;
    if (used >= next) next = used + 1;
  }
  for (const device of list) if (!device.alias) name(device, `${prefix}${next++}`);
}

function controllerAlias(domain: Domain, { type, index = 0, model }: Controller): string {
  switch (type) {
    case 'pci':
      return model === 'pcie-root' ? 'pcie.0' : `pci.${index}`;
    case 'ide':
      return index === 0 && isI440fx(domain) ? 'ide' : `ide${index}`;
    case 'sata':
      return index === 0 && isQ35(domain) ? 'ide' : `sata${index}`;
    case 'usb':
      return index === 0 ? 'usb' : `usb${index}`;
    default:
      return `${type}${index}`;
  }
}

function diskAlias(domain: Domain, { target, address }: Disk): string {
  const bus = target.bus ?? 'ide';
  if (address?.type === 'drive') {
    const { controller, bus: number, target: scsiTarget, unit } = address;
    const isLsi = bus === 'scsi' && findController(domain, 'scsi', controller)?.model === 'lsilogic';
    return bus === 'scsi' && !isLsi
      ? `scsi${controller}-${number}-${scsiTarget}-${unit}`
      : `${bus}${controller}-${number}-${bus === 'scsi' ? scsiTarget : unit}`;
  }
  return `${bus}-disk${diskIndex(target.dev ?? '') ?? 0}`;
}

/** The first console is the first serial port and shares its name. */
function nameConsoles({ devices }: Domain): void {
  const [first] = devices.consoles;
  const [serial] = devices.serials;
  if (first?.target?.type === 'serial' && serial?.alias) first.alias = { ...serial.alias };
  devices.consoles.forEach((console, index) => name(console, `console${index}`));
}
