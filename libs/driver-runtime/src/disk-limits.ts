/** `<iotune>`: limits on the traffic of a disk, read and changed in a domain document. */
import { copyModel, diskNamed, iotuneFault, type Disk, type Domain } from '@virtbus/domain-xml';
import { VirtError, type DiskLimits } from '@virtbus/shared';

type Iotune = NonNullable<Disk['iotune']>;
type Rate = Exclude<keyof DiskLimits, 'group'>;
type Member = Exclude<keyof Iotune, 'group_name'>;

/** What is limited: both, reading, writing. */
const flows = ['total', 'read', 'write'] as const;
const kinds = ['bytes', 'iops'] as const;

/** Limits that are set together: of one that is given, the others of its kind are lifted. Names on the bus and in the document. */
const families: readonly (readonly (readonly [Rate, Member])[])[] = [
  ...kinds.map((kind) => flows.map((flow) => [nameOf(flow, kind, ''), `${flow}_${kind}_sec`] as const)),
  ...kinds.map((kind) => flows.map((flow) => [nameOf(flow, kind, 'Max'), `${flow}_${kind}_sec_max`] as const)),
  ...kinds.map((kind) =>
    flows.map((flow) => [nameOf(flow, kind, 'MaxSeconds'), `${flow}_${kind}_sec_max_length`] as const),
  ),
  [['iopsSize', 'size_iops_sec']],
];

function nameOf(flow: (typeof flows)[number], kind: (typeof kinds)[number], more: '' | 'Max' | 'MaxSeconds') {
  return `${flow}${kind === 'bytes' ? ('Bytes' as const) : ('Iops' as const)}${more}` as const;
}

/** What a document limits; the rest is absent. */
export function limitsOf({ iotune = {} }: Disk): DiskLimits {
  const rates = families.flat().flatMap(([name, member]) => (iotune[member] ? [[name, iotune[member]] as const] : []));
  return { ...Object.fromEntries(rates), ...(iotune.group_name && { group: iotune.group_name }) };
}

/**
 * A copy of the domain whose disk is limited so, with all disks of its group. Throws `INVALID_ARG` for a disk that is not there or
 * a total beside its parts, `CONFIG_UNSUPPORTED` for what cannot be kept otherwise.
 */
export function withDiskLimits(domain: Domain, name: string, wish: DiskLimits): Domain {
  const copy = copyModel(domain);
  const disk = diskNamed(copy, name);
  if (disk.throttlefilters?.filters.length)
    throw new VirtError('CONFIG_UNSUPPORTED', {
      detail: `disk '${disk.target.dev ?? ''}' is limited by throttle filters; it cannot have limits of its own beside them`,
    });
  const group = wish.group ?? disk.iotune?.group_name ?? '';
  const peers = copy.devices.disks.filter((other) => group !== '' && other.iotune?.group_name === group);
  // A disk that joins a group has the group's limits, except for those that are changed now.
  const before = peers.includes(disk) ? disk.iotune : (peers[0]?.iotune ?? disk.iotune);
  const iotune = merged(before ?? {}, wish, group);
  const fault = iotuneFault(iotune);
  if (fault)
    throw new VirtError(fault.kind === 'mixed' ? 'INVALID_ARG' : 'CONFIG_UNSUPPORTED', { detail: fault.detail });
  for (const one of new Set([disk, ...peers])) {
    if (Object.keys(iotune).length === 0) delete one.iotune;
    else one.iotune = { ...iotune };
  }
  return copy;
}

function merged(before: Iotune, wish: DiskLimits, group: string): Iotune {
  const after: Iotune = group === '' ? {} : { group_name: group };
  for (const family of families) {
    const given = family.some(([name]) => wish[name] !== undefined);
    for (const [name, member] of family) {
      const value = given ? wish[name] : before[member];
      if (value) after[member] = value;
    }
  }
  return after;
}
