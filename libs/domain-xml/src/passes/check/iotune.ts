/** Limits on the traffic of a disk that contradict each other, in libvirt's words. */
import type { Disk } from '../../elements/disk';

type Iotune = NonNullable<Disk['iotune']>;

const flows = ['total', 'read', 'write'] as const;
const kinds = ['bytes', 'iops'] as const;

export interface IotuneFault {
  /** A total beside its parts; or a short-time maximum that is none. libvirt has a number of its own for each. */
  readonly kind: 'mixed' | 'burst';
  readonly detail: string;
}

/** Undefined when QEMU takes them. */
export function iotuneFault(iotune: Iotune): IotuneFault | undefined {
  for (const kind of kinds) {
    for (const max of ['', '_max'] as const) {
      const [total, read, write] = flows.map((flow) => iotune[`${flow}_${kind}_sec${max}`]);
      if (total && (read || write))
        return { kind: 'mixed', detail: `total and read/write of ${kind}_sec${max} cannot be set at the same time` };
    }
    for (const flow of flows) {
      const detail = burstFault(iotune, `${flow}_${kind}_sec`);
      if (detail !== undefined) return { kind: 'burst', detail };
    }
  }
  return undefined;
}

function burstFault(iotune: Iotune, name: `${(typeof flows)[number]}_${(typeof kinds)[number]}_sec`) {
  const [rate = 0, max = 0, length = 0] = [iotune[name], iotune[`${name}_max`], iotune[`${name}_max_length`]];
  if (max > 0 && rate === 0) return `value '${name}_max' cannot be set if '${name}' is not set`;
  if (max > 0 && max < rate) return `value '${name}_max' cannot be smaller than '${name}'`;
  if (length > 0 && max === 0) return `value '${name}_max_length' cannot be set if '${name}_max' is not set`;
  return undefined;
}
