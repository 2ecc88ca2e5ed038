/** Snapshots: external and internal, of guests that run and of domains that are off. */
import type { SnapshotsFacet } from '@virtbus/driver-runtime';
import type { BlockHost } from '../block-jobs/nodes';
import type { QemuGuest } from '../guest';
import { checkSnapshot } from '../snapshots/check';
import { takeExternal, wasTakenExternally } from '../snapshots/external';
import { checkFreeInternally, removeInternal, takeInternal, wasTakenInternally } from '../snapshots/internal';
import { giveUpMerge, merge, mergeNeeds, mergeOffline } from '../snapshots/merge';
import {
  checkFree,
  checkKept,
  makeOverlays,
  removeOffline,
  rewind,
  takeOffline,
  wasTakenOffline,
} from '../snapshots/offline';
import { refuseWrittenOut } from '../written-out';
import { saveFacet } from './save';

export function snapshotsFacet(host: BlockHost): SnapshotsFacet<QemuGuest> {
  const memory = saveFacet(host.user);
  return {
    check: checkSnapshot,
    checkFree: (guest, domain, snapshot) =>
      guest ? checkFreeInternally(host, guest, snapshot) : checkFree(domain, snapshot),
    checkKept,
    take: async (guest, taking) => {
      guest.blockJobs.refuseActive();
      if (taking.snapshot.memory?.snapshot === 'internal') return takeInternal(host, guest, taking);
      if (taking.snapshot.memory?.snapshot === 'external') await refuseWrittenOut(guest, taking.signal);
      await takeExternal(host, guest, taking, (how, path, running) =>
        memory.save(guest, { path, domain: how.domain, running }, how),
      );
    },
    takeOffline,
    wasTaken: async (guest, domain, snapshot, begun) => {
      if (!guest) return wasTakenOffline(domain, snapshot);
      if (snapshot.memory?.snapshot === 'internal') return wasTakenInternally(host, guest, snapshot);
      return wasTakenExternally(host, guest, snapshot, begun);
    },
    remove: async (guest, domain, snapshot, signal) => {
      if (guest) await removeInternal(host, guest, snapshot, signal);
      else await removeOffline(domain, snapshot, signal);
    },
    mergeNeeds,
    merge: (guest, merges, how) => merge(host, guest, merges, how),
    giveUpMerge,
    mergeOffline,
    makeOverlays,
    rewind,
  };
}
