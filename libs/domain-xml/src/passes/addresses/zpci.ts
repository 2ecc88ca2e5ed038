/** Ids by which a guest on s390 knows its PCI devices, beside the place on a bus. */
import type { QemuCapabilities } from '../../capabilities';
import type { Domain } from '../../elements/domain';
import { Faults, lineOf } from '../../schema';
import { isS390Ccw } from '../machine';
import { pciDevices } from './pci-wish';

/** Both ids are unique: the user's from 1, the function's from 0. */
export function assignZpci(domain: Domain, caps: QemuCapabilities): void {
  if (!isS390Ccw(domain) || !caps.flags.has('zpci')) return;
  const addresses = pciDevices(domain).flatMap(({ device: { address } }) => (address?.type === 'pci' ? [address] : []));
  const taken = { uid: new Set<number>(), fid: new Set<number>() };
  const faults = new Faults();
  for (const { zpci } of addresses)
    for (const id of ['uid', 'fid'] as const) {
      const value = zpci?.[id];
      if (value === undefined) continue;
      if (taken[id].has(value))
        faults.add('INTERNAL_ERROR', `zPCI ${id} 0x${value.toString(16)} is already reserved`, {
          element: 'zpci',
          line: lineOf(zpci),
        });
      taken[id].add(value);
    }
  faults.throwIfAny();
  const free = (id: 'uid' | 'fid', from: number): number => {
    let value = from;
    while (taken[id].has(value)) value += 1;
    taken[id].add(value);
    return value;
  };
  // Who was promised one id gets the other before anybody else.
  const promised = addresses.filter(({ zpci }) => zpci !== undefined);
  for (const address of [...promised, ...addresses.filter((one) => !promised.includes(one))]) {
    const { uid = free('uid', 1), fid = free('fid', 0) } = address.zpci ?? {};
    address.zpci = { uid, fid };
  }
}
