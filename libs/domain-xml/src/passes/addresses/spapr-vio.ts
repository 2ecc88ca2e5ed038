/** Registers on the virtual bus of PowerPC's pseries machines, where what is not PCI lives. */
import type { DeviceInfo } from '../../elements/device-info';
import type { Domain } from '../../elements/domain';
import { Faults, lineOf } from '../../schema';
import { isPseries } from '../machine';

/** Registers are this far apart. */
const step = 0x1000;

/** Devices of the bus, each with where the search for a register of its kind begins. */
function vioDevices({ devices }: Domain): (readonly [device: DeviceInfo, first: number])[] {
  return [
    ...devices.interfaces.filter(({ model }) => model?.type === 'spapr-vlan').map((one) => [one, 0x1000] as const),
    ...devices.controllers
      .filter(({ type, model }) => type === 'scsi' && model === 'ibmvscsi')
      .map((one) => [one, 0x2000] as const),
    ...devices.serials
      .filter(({ target }) => target?.type === 'spapr-vio-serial')
      .map((one) => [one, 0x30000000] as const),
    ...(devices.nvram ? [[devices.nvram, 0x3000] as const] : []),
    ...devices.tpms.filter(({ model }) => model === 'tpm-spapr').map((one) => [one, 0x4000] as const),
  ];
}

const isOnBus = ({ address }: DeviceInfo): boolean => address === undefined || address.type === 'spapr-vio';

export function assignSpaprVio(domain: Domain): void {
  if (!isPseries(domain)) return;
  const all = vioDevices(domain).filter(([device]) => isOnBus(device));
  const taken = new Set<number>();
  const faults = new Faults();
  for (const [{ address }] of all) {
    if (address?.type !== 'spapr-vio' || address.reg === undefined) continue;
    if (taken.has(address.reg))
      faults.add('XML_ERROR', `spapr-vio address 0x${address.reg.toString(16)} already in use`, {
        element: 'address',
        line: lineOf(address),
      });
    taken.add(address.reg);
  }
  faults.throwIfAny();
  for (const [device, first] of all) {
    if (device.address?.type === 'spapr-vio' && device.address.reg !== undefined) continue;
    let reg = first;
    while (taken.has(reg)) reg += step;
    taken.add(reg);
    device.address = { type: 'spapr-vio', reg };
  }
  // The first console is the first serial port under another name.
  const { consoles, serials } = domain.devices;
  const [console, serial] = [consoles[0], serials[0]];
  if (console?.target?.type === 'serial' && serial?.address?.type === 'spapr-vio') console.address = serial.address;
}
