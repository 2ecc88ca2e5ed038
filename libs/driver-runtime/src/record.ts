/** What is kept of each domain and of the host itself, as JSON. */
import type { Disk, DiskImage } from '@virtbus/domain-xml';
import type {
  ChainDocument,
  DomainState,
  DomainSummary,
  ErrorBody,
  LifecycleDetail,
  ReasonOf,
  TaintType,
} from '@virtbus/shared';
import type { SavedGuest } from './driver';

export interface DomainRecord {
  version: 1;
  uuid: string;
  name: string;
  epoch: number;
  revision: number;
  /** In which boot of the host it was last written, by their number. */
  boot?: number | undefined;
  /** -1 when inactive. */
  id: number;
  state: DomainState['state'];
  reason: string;
  persistent: boolean;
  autostart: boolean;
  /** It is on its way here in this migration, and lives elsewhere until that has finished: nobody is told of it. */
  incoming?: string | undefined;
  /** The definition was changed while the guest runs. */
  updated?: boolean | undefined;
  /** There from spawn to end of the guest's process. */
  guest?: SavedGuest | undefined;
  /** Why its guest is being ended. */
  ending?: { reason: ReasonOf<'shutoff'>; detail: LifecycleDetail<'stopped'> } | undefined;
  /** It is paused on its way up, and is to run. */
  goesOn?: true | undefined;
  /** The command that is being applied: after a crash its effect is found out, not guessed. */
  pending?: { id: string; operation: string } | undefined;
  /** The command that asked the guest to shut down or reboot: what the guest then does is its effect. */
  asked?: string | undefined;
  /** What that command was, and who gave it. */
  askedBy?: { operation: string; caller?: string | undefined } | undefined;
  /** Answers by command id, oldest first. */
  answered: Answered[];
  /**
   * What the disks stand on and the claims under which it was leased, by target: of the present run, and of the last one
   * for a domain that is to start by itself.
   */
  disks?: HeldDisks | undefined;
  /** The current snapshot, and what was begun with one: after a crash it is found out how far that came. */
  snapshot?:
    | {
        current?: string | undefined;
        doing?: SnapshotDoing | undefined;
        /** Overlays that have been given up, and stay until it is known that nobody stands on them. */
        givenUp?: GivenUp[] | undefined;
      }
    | undefined;
  /** The checkpoint that is being made: its description is kept, its bitmaps may not be there yet. */
  checkpoint?: { making: string; told?: true } | undefined;
  /** Of the present run. */
  tainted?: TaintType[] | undefined;
}

/** By target; images that a command needs beside those of the disk by their need: `mirror:vda`. */
export type HeldDisks = Record<string, { claim: string; chain?: ChainDocument | undefined }>;

export interface SnapshotCreation {
  what: 'create';
  /** Its description. */
  xml: string;
  /** The description is to be kept. */
  metadata: boolean;
  /** It may have been taken: its overlays are whole. */
  begun: boolean;
  /** Disks of the definition before it came to name the overlays: for when it was not taken. */
  defined?: Disk[] | undefined;
  /** The overlays were there before. */
  reuse: boolean;
  /** Of a guest that runs. */
  online: boolean;
}

/** An operation on a snapshot that is not done yet. */
export type SnapshotDoing =
  | SnapshotCreation
  /** `names`: of the snapshots that are to go, and of which that is not told yet; absent in a record of the last release. */
  | { what: 'delete'; command: string; names?: string[] }
  /**
   * `xml`: its description, with the overlays that the domain is about to stand on as `revertDisks`. `starts`: a guest is to run
   * then; absent in a record of the last release. `rewinds`: some of its images may have gone back to what they keep.
   */
  | { what: 'revert'; name: string; xml: string; starts?: boolean; rewinds?: true };

/** An overlay that holds no state of a snapshot. */
export interface GivenUp {
  /** The snapshot upon whose state it was put. */
  upon: string;
  /** The disk as it was in that state. */
  disk: Disk;
  image: DiskImage;
}

export interface Answered {
  id: string;
  operation: string;
  response?: unknown;
  error?: ErrorBody | undefined;
}

/** Answers kept a domain. */
export const answersKept = 64;

export interface Tombstone {
  uuid: string;
  name: string;
  epoch: number;
  revision: number;
  answered: Answered[];
  /** The domain at its end. */
  summary: DomainSummary;
}

export interface HostRecord {
  uuid: string;
  lastId: number;
  /** When this folder began to be the truth about the host, milliseconds since 1970; 0 for one of old. */
  since?: number | undefined;
  /** `/proc/sys/kernel/random/boot_id` at the last start: autostart is for a new boot only. */
  bootId: string;
  /** How many boots there have been. */
  boots: number;
  /** Domains that are still to be started in this boot; `all`: it is not known yet which. */
  toStart?: string[] | 'all' | undefined;
}
