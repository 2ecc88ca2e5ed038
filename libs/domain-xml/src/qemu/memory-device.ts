/** DIMMs, NVDIMMs, virtio memory: the host's memory behind them and the guest's device. */
import type { MemoryDevice } from '../elements/memory-device';
import { aliasOf, unsupported, type Guest, type ObjectProps } from './context';
import { addressProps } from './device-address';
import { deviceSize } from './memory';
import { hostMemoryObject } from './memory-backend';
import { nonZero, props, type Props } from './props';
import { virtioProps } from './virtio';
import type { CommandWords } from './words';

export function addMemoryDevices(out: CommandWords, guest: Guest): void {
  for (const memory of guest.domain.devices.memories) {
    if (memory.model === 'sgx-epc') continue;
    out.objects(memoryObjects(guest, memory));
    out.device(memoryDeviceProps(guest, memory));
  }
}

const memdevId = (memory: MemoryDevice): string => `mem${aliasOf(memory)}`;

export function memoryObjects(guest: Guest, memory: MemoryDevice): ObjectProps[] {
  return hostMemoryObject(guest, {
    id: memdevId(memory),
    kib: deviceSize(guest, memory),
    cell: memory.target.node,
    device: memory,
  });
}

/** Bytes; the document counts KiB. */
const bytes = (kib: number | undefined): number | undefined => (kib === undefined ? undefined : kib * 1024);

export function memoryDeviceProps(guest: Guest, memory: MemoryDevice): Props {
  const { target, model } = memory;
  const node = target.node;
  const id = aliasOf(memory);
  const memdev = memdevId(memory);
  const address = addressProps(guest, memory);
  switch (model) {
    case 'dimm':
      return props({ driver: 'pc-dimm', node, memdev, id }, address);
    case 'nvdimm':
      return props(
        {
          driver: 'nvdimm',
          node,
          'label-size': bytes(target.label?.size),
          uuid: memory.uuid,
          unarmed: target.readonly || undefined,
          memdev,
          id,
        },
        address,
      );
    case 'virtio-pmem':
      return props(
        { ...virtioProps('virtio-pmem', memory), memdev, memaddr: nonZero(target.address?.base), id },
        address,
      );
    case 'virtio-mem':
      return props(
        virtioProps('virtio-mem', memory),
        {
          node,
          'block-size': bytes(target.block),
          'requested-size': bytes(target.requested),
          memdev,
          prealloc: preallocates(guest, memory) || undefined,
          memaddr: nonZero(target.address?.base),
          'dynamic-memslots': target.dynamicMemslots,
          id,
        },
        address,
      );
    case 'sgx-epc':
      return unsupported('an enclave page cache is part of the machine, not a device');
  }
}

/** Plugged memory of huge pages is filled as it is plugged: it must not be missing later. */
const preallocates = ({ domain }: Guest, { source }: MemoryDevice): boolean =>
  source?.pagesize !== undefined || domain.memoryBacking?.allocation?.mode === 'immediate';
