/** Ports on virtio-serial controllers, for channels and consoles; slots of smartcard readers. */
import type { DeviceInfo } from '../../elements/device-info';
import type { Domain } from '../../elements/domain';
import { ensureController } from '../controllers';

const defaultPorts = 31;

/** Port 0 is for a console; everything else starts at 1. */
export function assignVirtioSerial(domain: Domain): void {
  const { devices } = domain;
  // A console without an address of this kind is left to QEMU.
  const consoles = devices.consoles.filter(
    (one) => one.target?.type === 'virtio' && one.address?.type === 'virtio-serial',
  );
  const channels = devices.channels.filter((one) => one.target?.type === 'virtio');
  const taken = new Set<string>();
  const key = (controller: number, port: number): string => `${controller}:${port}`;
  for (const { address } of [...consoles, ...channels])
    if (address?.type === 'virtio-serial' && address.port !== undefined && address.port !== 0)
      taken.add(key(address.controller, address.port));
  const assign = (device: DeviceInfo, first: number): void => {
    const { address } = device;
    if (address?.type === 'virtio-serial' && address.port !== undefined && (address.port > 0 || first === 0)) {
      return;
    }
    if (address !== undefined && address.type !== 'virtio-serial') return;
    for (let controller = address?.controller ?? 0; ; controller++) {
      ensureController(domain, 'virtio-serial', controller);
      const ports =
        devices.controllers.find((one) => one.type === 'virtio-serial' && one.index === controller)?.ports ??
        defaultPorts;
      for (let port = first; port < ports; port++) {
        if (taken.has(key(controller, port))) continue;
        taken.add(key(controller, port));
        device.address = { type: 'virtio-serial', controller, bus: 0, port };
        return;
      }
    }
  };
  for (const console of consoles) assign(console, 0);
  for (const channel of channels) assign(channel, 1);
}

/** Slots of plugged memory. */
export function assignDimms({ devices }: Domain): void {
  const modules = devices.memories.filter(({ model }) => model === 'dimm' || model === 'nvdimm');
  const taken = new Set(modules.map(({ address }) => (address?.type === 'dimm' ? address.slot : undefined)));
  for (const dimm of modules) {
    if (dimm.address !== undefined && (dimm.address.type !== 'dimm' || dimm.address.slot !== undefined)) continue;
    let slot = 0;
    while (taken.has(slot)) slot += 1;
    taken.add(slot);
    dimm.address = { ...dimm.address, type: 'dimm', slot };
  }
}

export function assignCcid({ devices }: Domain): void {
  const taken = new Set(devices.smartcards.map(({ address }) => (address?.type === 'ccid' ? address.slot : -1)));
  for (const smartcard of devices.smartcards) {
    if (smartcard.address !== undefined) continue;
    let slot = 0;
    while (taken.has(slot)) slot += 1;
    taken.add(slot);
    smartcard.address = { type: 'ccid', controller: 0, slot };
  }
}
