/** Memory and vCPUs: `-m`, the RAM backend, `-overcommit`, `-smp`. */
import type { Domain } from '../elements/domain';
import type { MemoryDevice } from '../elements/memory-device';
import { archOf } from '../passes/machine';
import type { Guest } from './context';
import { defaultRamId, usesPlainMemory } from './machine';
import { hostMemoryObject } from './memory-backend';
import { words } from './props';
import type { CommandWords } from './words';

const mib = 1024;

/** KiB of which all memory is a multiple. */
const memoryStep = ({ domain }: Guest): number => (isPower64(domain) ? 256 * mib : mib);
const isPower64 = (domain: Domain): boolean => archOf(domain).startsWith('ppc64');

/** KiB rounded as a start does; a guest that waits for its memory keeps what it had. */
export function aligned(guest: Guest, kib: number, step = memoryStep(guest)): number {
  return guest.context.incoming === undefined ? Math.ceil(kib / step) * step : kib;
}

/** KiB of a memory device. */
export const deviceSize = (guest: Guest, { target }: MemoryDevice): number =>
  aligned(guest, target.size, Math.max(2 * mib, memoryStep(guest)));

/** KiB that the guest has at its start: its NUMA cells together, or all but what memory devices bring. */
export function initialMemory(guest: Guest): number {
  const { domain, context } = guest;
  const cells = domain.cpu?.numa?.cells ?? [];
  if (cells.length > 0 && context.incoming === undefined)
    return cells.reduce((sum, { memory }) => sum + aligned(guest, memory), 0);
  const plugged = domain.devices.memories.reduce(
    (sum, { model, target }) => (model === 'sgx-epc' ? sum : sum + target.size),
    0,
  );
  return aligned(guest, domain.memory.kib - plugged);
}

export function addMemory(out: CommandWords, guest: Guest): void {
  const { maxMemory, memoryBacking } = guest.domain;
  out.add(
    '-m',
    words('', {
      size: `${Math.floor(initialMemory(guest) / mib) * mib}k`,
      slots: maxMemory?.slots || undefined,
      maxmem: maxMemory && `${maxMemory.kib}k`,
    }),
  );
  const id = defaultRamId(guest);
  if (usesPlainMemory(guest) && id !== undefined)
    out.objects(hostMemoryObject(guest, { id, kib: initialMemory(guest), isMachineRam: true }));
  out.add('-overcommit', `mem-lock=${memoryBacking?.locked ? 'on' : 'off'}`);
}

/** vCPUs there from the start; those that can be unplugged are plugged in once QEMU runs. */
function initialVcpus({ vcpu, vcpus }: Domain): number {
  if (vcpus === undefined) return vcpu.current ?? vcpu.count;
  return vcpus.vcpus.filter(({ enabled, hotpluggable }) => enabled && !hotpluggable).length;
}

export function addVcpus(out: CommandWords, { domain }: Guest): void {
  const { vcpu, cpu } = domain;
  const topology = cpu?.topology;
  const current = initialVcpus(domain);
  out.add(
    '-smp',
    words(String(current), {
      maxcpus: current === vcpu.count ? undefined : vcpu.count,
      sockets: topology ? topology.sockets : vcpu.count,
      dies: topology?.dies,
      clusters: topology?.clusters,
      cores: topology ? topology.cores : 1,
      threads: topology ? topology.threads : 1,
    }),
  );
}
