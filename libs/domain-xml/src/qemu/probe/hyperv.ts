/**
 * Which Hyper-V enlightenments KVM offers here: libvirt's feature name → QEMU's CPU property that `hv-passthrough`
 * switches on where it can.
 */
import { askFor, type QmpPeer } from './answers';

/** In libvirt's order. Spinlocks is a number and vendor_id a string in QEMU, the others are switches. */
const enlightenments: Readonly<Record<string, string>> = {
  relaxed: 'hv-relaxed',
  vapic: 'hv-vapic',
  spinlocks: 'hv-spinlocks',
  vpindex: 'hv-vpindex',
  runtime: 'hv-runtime',
  synic: 'hv-synic',
  stimer: 'hv-stimer',
  reset: 'hv-reset',
  vendor_id: 'hv-vendor-id',
  frequencies: 'hv-frequencies',
  reenlightenment: 'hv-reenlightenment',
  tlbflush: 'hv-tlbflush',
  ipi: 'hv-ipi',
  evmcs: 'hv-evmcs',
  avic: 'hv-avic',
  emsr_bitmap: 'hv-emsr-bitmap',
  xmm_input: 'hv-xmm-input',
};

/** Undefined when QEMU cannot say. */
export async function hypervFeaturesOf(peer: QmpPeer): Promise<string[] | undefined> {
  const model = { name: 'host', props: { migratable: false, 'hv-passthrough': true } };
  const expanded = await askFor(peer, 'query-cpu-model-expansion', { type: 'full', model });
  const properties = expanded?.model.props;
  if (!properties) return undefined;
  const offered = ([, property]: [string, string]): boolean =>
    ![undefined, false].includes(properties[property] as false);
  // Without Hyper-V support in KVM only the number and the string are left.
  if (!Object.values(enlightenments).some((property) => properties[property] === true)) return undefined;
  return Object.entries(enlightenments)
    .filter(offered)
    .map(([name]) => name);
}
