/** A running guest as its driver gives it: what it is started from, and how it is found again. */
import type { Domain } from '@virtbus/domain-xml';
import type { Snapshot } from '@virtbus/domain-xml/snapshot';
import type { BlockJob, ChainDocument, DomainState, LifecycleDetail, ReasonOf } from '@virtbus/shared';
import type { Log } from '@virtbus/shared/log';
import type { GuestSink } from './news';

/** What a driver must remember of a running guest to find it again: plain JSON of its own. */
export type SavedGuest = Record<string, unknown>;

/** Folders of one domain. */
export interface GuestFolders {
  /** Ours alone, kept for as long as the domain lives here. */
  state: string;
  /** For sockets; short, and open to the user that the guest runs as. Emptied when the guest has ended. */
  run: string;
  /** The log of the hypervisor process. */
  log: string;
}

export interface StartSpec {
  uuid: string;
  /** libvirt's id for the running domain. */
  id: number;
  /** The definition to run; the driver makes the live document from it. */
  domain: Domain;
  folders: GuestFolders;
  /** The guest is to stay paused: a driver that cannot keep it from running may let it run when it is not. */
  paused: boolean;
  /** A save image, or a snapshot with its memory within the disks, to begin from instead of booting. */
  restore?: { path: string } | { snapshot: Snapshot } | undefined;
  /** What each disk stands on, by target: the driver opens no other images. */
  chains: ReadonlyMap<string, ChainDocument>;
  signal: AbortSignal;
  sink: GuestSink;
  /**
   * Called as soon as there is a process, so that a crash of ours cannot lose it, with the live document as far as it is
   * known by then.
   */
  onSpawned: (saved: SavedGuest, live: Domain) => void;
  log: Log;
}

export interface ReattachSpec {
  uuid: string;
  id: number;
  /** The live document as it was last kept. */
  domain: Domain;
  folders: GuestFolders;
  /** What `onSpawned` or the guest last gave; absent when we died before that. */
  saved: SavedGuest | undefined;
  /** The state that was last kept. */
  state: DomainState;
  sink: GuestSink;
  log: Log;
}

/** A running guest. Its driver keeps `live` and `saved` current. */
export interface Guest {
  live: Domain;
  readonly saved: SavedGuest;
  /** Let it run. `reason` becomes that of the running state. */
  resume(reason: ReasonOf<'running'>, signal?: AbortSignal): Promise<void>;
  /** Pause it. `reason` becomes that of the paused state. */
  suspend(reason: ReasonOf<'paused'>, signal?: AbortSignal): Promise<void>;
  /**
   * End it. Resolves when it is gone and `ended` was told. Without `graceful`, force is used in the end.
   * @param to the shutoff reason and event detail that the end is told with
   */
  destroy(how: {
    graceful: boolean;
    reason: ReasonOf<'shutoff'>;
    detail: LifecycleDetail<'stopped'>;
    signal?: AbortSignal;
  }): Promise<void>;
  /** What becomes of devices that an earlier process of ours was giving it is not known yet: what they open stays held. */
  readonly expectsDevices?: boolean;
  /** Let go of it without harm: our process is about to end. */
  detach(): void;
  /**
   * Called once after it was found again, when it is listened to: finish what ended meanwhile. Resolves with the block jobs
   * that had begun before, those that have ended since among them.
   */
  catchUp?(): Promise<readonly BlockJob[]>;
}

/** What became of a guest that ran when our process ended. */
export type Reattached<G extends Guest> =
  | { kind: 'alive'; guest: G; state: DomainState }
  | {
      kind: 'gone';
      reason: ReasonOf<'shutoff'>;
      detail: LifecycleDetail<'stopped'>;
      data?: Record<string, unknown> | undefined;
    };
