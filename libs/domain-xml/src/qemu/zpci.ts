/** s390: each PCI device has a companion that carries the ids by which the guest knows it. */
import type { DeviceInfo } from '../elements/device-info';
import type { Domain } from '../elements/domain';
import { props, type Props } from './props';

/** The companions by the alias of their device. */
export function zpciCompanions({ devices }: Domain): ReadonlyMap<string, Props> {
  const companions = new Map<string, Props>();
  const all = (Object.values(devices) as unknown[]).flatMap((family): unknown[] =>
    Array.isArray(family) ? (family as unknown[]) : [family],
  );
  for (const device of all) {
    if (typeof device !== 'object' || device === null) continue;
    const { alias, address } = device as DeviceInfo;
    if (alias === undefined || address?.type !== 'pci' || address.zpci === undefined) continue;
    const { uid, fid } = address.zpci;
    companions.set(alias.name, props({ driver: 'zpci', uid, fid, target: alias.name, id: `zpci${uid ?? 0}` }));
  }
  return companions;
}
