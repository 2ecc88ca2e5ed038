/** What a record says about the images of disks, as block operations change it. */
import type { Domain } from '@virtbus/domain-xml';
import type { ChainDocument } from '@virtbus/shared';
import type { DomainRecord, HeldDisks } from './record';

/** `mirror:vda` is an image of disk `vda`. */
export const targetOfHeld = (name: string): string => name.slice(name.lastIndexOf(':') + 1);

/** The disks without what operations needed beside them: those have ended with the guest. */
export function ownDisks(disks: HeldDisks | undefined): HeldDisks | undefined {
  return disks && Object.fromEntries(Object.entries(disks).filter(([name]) => name === targetOfHeld(name)));
}

/** What a disk that is on its way to a guest, or out of one, is held as: wholly, whatever the document says. */
export const comingTo = 'coming:';
const leavingFrom = 'leaving:';

/** Whether nobody knows yet what QEMU has open of it. */
export const isOnItsWay = (name: string): boolean => name.startsWith(comingTo) || name.startsWith(leavingFrom);

/**
 * Disks that have left the guest hold no images.
 * @param leaving targets of those that the document has lost and whose images the hypervisor has not closed yet
 */
export function forgetLeft(
  { disks }: DomainRecord,
  live: Domain | undefined,
  leaving: ReadonlySet<string> = new Set(),
): void {
  if (!disks || !live) return;
  const there = new Set(live.devices.disks.map(({ target }) => target.dev));
  for (const [name, held] of Object.entries(disks)) {
    const target = targetOfHeld(name);
    if (name.startsWith(comingTo) || (there.has(target) && !isOnItsWay(name))) continue;
    if (leaving.has(target)) disks[isOnItsWay(name) ? name : leavingFrom + name] = held;
    if (!leaving.has(target) || !isOnItsWay(name)) delete disks[name];
  }
}

/**
 * Disks stand on other images now. What was held for the operation itself is held no longer: storage, told of the disks as
 * they are, leases what they stand on.
 */
export function restand(record: DomainRecord, chains: Readonly<Record<string, ChainDocument | undefined>>): void {
  const { disks } = record;
  if (!disks) return;
  for (const [target, chain] of Object.entries(chains)) {
    const own = Object.keys(disks).filter(
      (name) => name !== target && targetOfHeld(name) === target && !name.startsWith(leavingFrom),
    );
    const claim = disks[target]?.claim ?? (own[0] === undefined ? undefined : disks[own[0]]?.claim);
    for (const name of own) delete disks[name];
    if (claim !== undefined) disks[target] = { claim, ...(chain ? { chain } : {}) };
  }
}
