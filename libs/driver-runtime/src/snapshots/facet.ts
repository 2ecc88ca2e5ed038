/** What a hypervisor brings for snapshots: it keeps states of guests and disks; descriptions are the runtime's. */
import type { Domain } from '@virtbus/domain-xml';
import type { Snapshot } from '@virtbus/domain-xml/snapshot';
import type { ChainDocument, ImageNeed } from '@virtbus/shared';
import type { Guest } from '../driver';

/** A snapshot that is being taken. */
export interface Taking {
  /** Side by side with the domain's disks; all overlays are named. */
  snapshot: Snapshot;
  /** The overlays are there already, with their contents. */
  reuse: boolean;
  /** Images prepared for it, by the name of the need: `overlay:vda`. */
  images: ReadonlyMap<string, ChainDocument>;
  signal: AbortSignal;
}

export interface LiveTaking extends Taking {
  /** The guest's own file systems are frozen meanwhile. */
  quiesce: boolean;
  /** The guest runs while its memory is written. */
  live: boolean;
  /** The document to restore the memory with. */
  domain: Domain;
  /**
   * It may happen from now on: the overlays are whole, and the definition on disk names them when this returns. A crash after
   * this is found out about by `wasTaken`.
   */
  begin(): void;
  /** It has happened: documents follow in the same turn. Called once, with the guest's live document as it is then. */
  taken(): void;
  progress(bytes: { total: number; processed: number; remaining: number }): void;
}

/** Images of a disk that are merged into the one at depth `base`: from depth `top` on. 0 is the active image. */
export interface Merge {
  target: string;
  top: number;
  base: number;
}

export interface SnapshotsFacet<G extends Guest = Guest> {
  /** Throws what cannot be kept of this domain. @param active its guest runs */
  check(domain: Domain, snapshot: Snapshot, active: boolean): void;
  /**
   * Throws where an image holds an internal snapshot of that name, of which no description tells: nobody could tell the two
   * apart.
   * @param guest that has the images open
   */
  checkFree(guest: G | undefined, domain: Domain, snapshot: Snapshot): Promise<void>;
  /** Throws what keeps the images from going back to an internal snapshot: nothing of the present is given up then. */
  checkKept(domain: Domain, snapshot: Snapshot): Promise<void>;
  /** Of a guest that runs. Whatever fails, it goes on as before; where it ends after `begin` the snapshot counts as taken. */
  take(guest: G, taking: LiveTaking): Promise<void>;
  /** Of a domain that is off: the images, not the documents. */
  takeOffline(domain: Domain, taking: Taking): Promise<void>;
  /**
   * After a crash of ours: has the snapshot been taken that `begin` told of? Tidies up when it has not.
   * @param guest undefined when it has ended meanwhile
   * @param begun whether `begin` was heard: all that there is of one of memory alone
   */
  wasTaken(guest: G | undefined, domain: Domain, snapshot: Snapshot, begun: boolean): Promise<boolean>;
  /** Take the internal parts of a snapshot out of the images; what is not there is no fault. @param guest that has them open */
  remove(guest: G | undefined, domain: Domain, snapshot: Snapshot, signal: AbortSignal): Promise<void>;
  /** Images that a merge in a running guest writes to. */
  mergeNeeds(guest: G, merges: readonly Merge[]): Promise<ImageNeed[]>;
  /** Merge, all disks side by side; documents, events and files follow with each block job. Rejects when one fails. */
  merge(guest: G, merges: readonly Merge[], how: { command: string; signal: AbortSignal }): Promise<void>;
  /** After a crash of ours: end the jobs of a merge that was begun by this command. Images stay as they are. */
  giveUpMerge(guest: G, command: string): Promise<void>;
  /** The same in the images of a domain that is off; its documents are the caller's. @param chains of its disks, by target */
  mergeOffline(
    merges: readonly Merge[],
    chains: ReadonlyMap<string, ChainDocument>,
    signal: AbortSignal,
  ): Promise<void>;
  /** Make overlays in files that are there and empty. @param after the domain that stands on them. @param images by need */
  makeOverlays(
    after: Domain,
    snapshot: Pick<Snapshot, 'disks'>,
    images: ReadonlyMap<string, ChainDocument>,
    signal: AbortSignal,
  ): Promise<void>;
  /** Take the images of a domain that is off back to an internal snapshot. */
  rewind(domain: Domain, snapshot: Snapshot, signal: AbortSignal): Promise<void>;
}
