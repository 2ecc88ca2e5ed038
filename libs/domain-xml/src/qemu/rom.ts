/** A PCI device's option ROM. */
import type { Interface } from '../elements/interface';
import type { LooseProps } from './props';

export function romProps({ rom }: Pick<Interface, 'rom'>): LooseProps {
  if (rom === undefined) return {};
  // Without a file QEMU offers the guest no ROM at all.
  if (rom.enabled === false) return { romfile: '' };
  return { rombar: rom.bar === undefined ? undefined : rom.bar ? 1 : 0, romfile: rom.file };
}
