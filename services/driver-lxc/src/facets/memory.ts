/** The memory that a container may use: its cgroup's limit. */
import type { Facets } from '@virtbus/driver-runtime';
import { VirtError } from '@virtbus/shared';
import { writeLimit } from './limits';
import type { LxcGuest } from '../guest';

export const memory: NonNullable<Facets<LxcGuest>['memory']> = {
  set: async (guest, kib) => {
    setMemoryLimit(guest, kib);
    const { memtune } = guest.live;
    guest.live = {
      ...guest.live,
      currentMemory: kib,
      ...(memtune?.hard_limit === undefined ? {} : { memtune: { ...memtune, hard_limit: kib } }),
    };
    guest.tellLive();
    guest.tell({ kind: 'event', class: 'balloon', type: 'change', data: { actualKiB: kib }, caused: true });
  },
};

/** Throws `OPERATION_INVALID` for less than is in use: version 2 would kill for it, version 1 refuse. */
export function setMemoryLimit({ cgroup, live }: LxcGuest, kib: number): void {
  const used = Number(cgroup.read('memory', 'memory.usage_in_bytes', 'memory.current') ?? 0);
  if (kib * 1024 < used) {
    const detail = `the container '${live.name}' uses ${Math.ceil(used / 1024)} KiB of memory; it cannot be limited to ${kib} KiB`;
    throw new VirtError('OPERATION_INVALID', { detail });
  }
  writeLimit(cgroup, 'memory', ['memory.limit_in_bytes', kib * 1024], ['memory.max', kib * 1024]);
}
