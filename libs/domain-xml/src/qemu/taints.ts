/** What a document asks of QEMU that nobody vouches for. */
import type { TaintType } from '@virtbus/shared';
import type { Domain } from '../elements/domain';

/** Why a guest started from this document is tainted, in libvirt's words. */
export function taintsOf({ qemuCommandline, qemuCapabilities, qemuOverride }: Domain): TaintType[] {
  const taints: TaintType[] = [];
  const some = (...lists: (readonly unknown[] | undefined)[]): boolean => lists.some((list) => list && list.length > 0);
  if (some(qemuCommandline?.args, qemuCommandline?.envs)) taints.push('custom-argv');
  if (some(qemuCapabilities?.add, qemuCapabilities?.del)) taints.push('custom-hypervisor-feature');
  if (some(qemuOverride?.devices)) taints.push('custom-device');
  return taints;
}
