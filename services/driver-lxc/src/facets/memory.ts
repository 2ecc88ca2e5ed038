/** The memory that a container may use: its cgroup's limit. */
import type { Facets } from '@virtbus/driver-runtime';
import type { LxcGuest } from '../guest';
import type { Machine } from '../machine';
import { holdTo } from './limits';

export function memoryFacet(machine: Machine): NonNullable<Facets<LxcGuest>['memory']> {
  return {
    set: async (guest, kib) => {
      const { memtune } = guest.live;
      holdTo(guest, machine, {
        ...guest.live,
        currentMemory: kib,
        ...(memtune?.hard_limit === undefined ? {} : { memtune: { ...memtune, hard_limit: kib } }),
      });
      guest.tellLive();
      guest.tell({ kind: 'event', class: 'balloon', type: 'change', data: { actualKiB: kib }, caused: true });
    },
  };
}
