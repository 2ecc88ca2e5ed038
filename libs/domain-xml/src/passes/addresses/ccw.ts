/** Device numbers on the channel subsystem of s390, where virtio devices live. */
import type { DeviceInfo } from '../../elements/device-info';
import type { Domain } from '../../elements/domain';
import { Faults, lineOf } from '../../schema';
import { isS390Ccw } from '../machine';

/** The subsystem that virtual devices are in. */
const virtualCss = 0xfe;

/** Devices that a machine without PCI reaches in a way of its own, in the order in which places are given out. */
export function virtioDevices({ devices }: Domain): DeviceInfo[] {
  const isVirtio = (model: string | undefined): boolean => model?.startsWith('virtio') ?? false;
  return [
    ...devices.disks.filter(({ target }) => target.bus === 'virtio'),
    ...devices.interfaces.filter(({ model, type }) => type !== 'hostdev' && isVirtio(model?.type)),
    ...devices.hostdevs.filter(({ type, model }) => type === 'scsi_host' || model === 'vfio-ccw'),
    ...devices.videos.filter(({ model }) => model?.type === 'virtio'),
    ...devices.controllers.filter(
      ({ type, model }) => type === 'virtio-serial' || (type === 'scsi' && isVirtio(model)),
    ),
    ...devices.inputs.filter(({ bus }) => bus === 'virtio'),
    ...devices.filesystems,
    ...(devices.memballoon && isVirtio(devices.memballoon.model) ? [devices.memballoon] : []),
    ...devices.rngs,
    ...(devices.vsock ? [devices.vsock] : []),
    ...devices.memories.filter(({ model }) => isVirtio(model)),
    ...devices.cryptos,
  ];
}

export function assignCcw(domain: Domain): void {
  if (!isS390Ccw(domain)) return;
  const all = virtioDevices(domain);
  const taken = new Set<string>();
  const key = (cssid: number, ssid: number, devno: number): string =>
    `${cssid.toString(16)}.${ssid.toString(16)}.${devno.toString(16).padStart(4, '0')}`;
  const faults = new Faults();
  for (const { address } of all) {
    if (address?.type !== 'ccw' || address.devno === undefined) continue;
    const place = key(address.cssid ?? virtualCss, address.ssid ?? 0, address.devno);
    if (taken.has(place))
      faults.add('XML_ERROR', `The CCW devno '${place}' is in use already`, {
        element: 'address',
        line: lineOf(address),
      });
    taken.add(place);
  }
  faults.throwIfAny();
  for (const device of all) {
    const { address } = device;
    if (address !== undefined && (address.type !== 'ccw' || address.devno !== undefined)) continue;
    let devno = 0;
    while (taken.has(key(virtualCss, 0, devno))) devno += 1;
    taken.add(key(virtualCss, 0, devno));
    device.address = { type: 'ccw', cssid: virtualCss, ssid: 0, devno };
  }
}
