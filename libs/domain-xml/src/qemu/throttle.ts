/** Limits on disk traffic: of one disk, or throttle groups that filters of several disks share. */
import type { Disk } from '../elements/disk';
import type { Domain } from '../elements/domain';
import { throttleGroupId } from './blockdev';
import { aliasOf, type ObjectProps } from './context';
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

/** Arguments of `block_set_io_throttle` for a disk with its device's name; without limits it lifts them. */
export function ioThrottle(disk: Disk): Props {
  const limits: Limits = disk.iotune ?? {};
  return props(
    {
      id: driveOwner(disk),
      bps: limits.total_bytes_sec ?? 0,
      bps_rd: limits.read_bytes_sec ?? 0,
      bps_wr: limits.write_bytes_sec ?? 0,
      iops: limits.total_iops_sec ?? 0,
      iops_rd: limits.read_iops_sec ?? 0,
      iops_wr: limits.write_iops_sec ?? 0,
      bps_max: limits.total_bytes_sec_max ?? 0,
      bps_rd_max: limits.read_bytes_sec_max ?? 0,
      bps_wr_max: limits.write_bytes_sec_max ?? 0,
      iops_max: limits.total_iops_sec_max ?? 0,
      iops_rd_max: limits.read_iops_sec_max ?? 0,
      iops_wr_max: limits.write_iops_sec_max ?? 0,
      iops_size: limits.size_iops_sec ?? 0,
      group: limits.group_name,
    },
    // QEMU takes no length of nothing.
    {
      bps_max_length: limits.total_bytes_sec_max_length,
      bps_rd_max_length: limits.read_bytes_sec_max_length,
      bps_wr_max_length: limits.write_bytes_sec_max_length,
      iops_max_length: limits.total_iops_sec_max_length,
      iops_rd_max_length: limits.read_iops_sec_max_length,
      iops_wr_max_length: limits.write_iops_sec_max_length,
    },
  );
}

/** Where in QEMU's object tree the drive of a disk is held: for some buses a part of the device. */
function driveOwner(disk: Disk): string {
  const id = aliasOf(disk);
  if (disk.target.bus === 'virtio') return `/machine/peripheral/${id}/virtio-backend`;
  if (disk.target.bus === 'usb') return `/machine/peripheral/${id}/${id}.0/legacy[0]`;
  return id;
}
