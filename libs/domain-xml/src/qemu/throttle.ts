/** Limits on disk traffic: throttle groups that filters of several disks share. */
import type { Disk } from '../elements/disk';
import type { Domain } from '../elements/domain';
import { throttleGroupId } from './blockdev';
import type { ObjectProps } from './context';
import { props, type Props } from './props';

type Limits = NonNullable<Disk['iotune']>;

export function throttleObjects({ throttlegroups }: Domain): ObjectProps[] {
  return (throttlegroups?.groups ?? []).map((limits) => ({
    'qom-type': 'throttle-group',
    id: throttleGroupId(limits.group_name ?? ''),
    limits: throttleLimits(limits),
  }));
}

/** As `limits` of a `throttle-group`; 0 is no limit. */
export function throttleLimits(limits: Limits): Props {
  return props(
    {
      'bps-total': limits.total_bytes_sec ?? 0,
      'bps-read': limits.read_bytes_sec ?? 0,
      'bps-write': limits.write_bytes_sec ?? 0,
      'iops-total': limits.total_iops_sec ?? 0,
      'iops-read': limits.read_iops_sec ?? 0,
      'iops-write': limits.write_iops_sec ?? 0,
      'bps-total-max': limits.total_bytes_sec_max ?? 0,
      'bps-read-max': limits.read_bytes_sec_max ?? 0,
      'bps-write-max': limits.write_bytes_sec_max ?? 0,
      'iops-total-max': limits.total_iops_sec_max ?? 0,
      'iops-read-max': limits.read_iops_sec_max ?? 0,
      'iops-write-max': limits.write_iops_sec_max ?? 0,
      'iops-size': limits.size_iops_sec ?? 0,
    },
    {
      'bps-total-max-length': limits.total_bytes_sec_max_length,
      'bps-read-max-length': limits.read_bytes_sec_max_length,
      'bps-write-max-length': limits.write_bytes_sec_max_length,
      'iops-total-max-length': limits.total_iops_sec_max_length,
      'iops-read-max-length': limits.read_iops_sec_max_length,
      'iops-write-max-length': limits.write_iops_sec_max_length,
    },
  );
}
