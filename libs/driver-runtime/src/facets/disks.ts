/** Disks of guests and what they stand on: jobs on their images, sizes and limits. */
import type { Disk, Domain } from '@virtbus/domain-xml';
import type {
  abortBlockJob,
  BlockJob,
  ChainDocument,
  commitBlocks,
  copyBlocks,
  DiskError,
  DiskSizes,
  ImageNeed,
  pullBlocks,
  Request,
} from '@virtbus/shared';
import type { Guest } from '../guest';

/** What comes with a command that begins a block job. */
export interface BlockJobStart {
  /** Id of the command. */
  command: string;
  signal: AbortSignal;
  /** Images that were prepared for the command, by the name of the need: `mirror:vda`. */
  images: ReadonlyMap<string, ChainDocument>;
}

/** Jobs on the images of disks. Each is followed to its end, also across restarts; `images` and `block-job` news tell of it. */
export interface BlockJobsFacet<G extends Guest = Guest> {
  pull(guest: G, ask: Request<typeof pullBlocks>, how: BlockJobStart): Promise<BlockJob>;
  commit(guest: G, ask: Request<typeof commitBlocks>, how: BlockJobStart): Promise<BlockJob>;
  commitNeeds(guest: G, ask: Request<typeof commitBlocks>): Promise<ImageNeed[]>;
  copy(guest: G, ask: Request<typeof copyBlocks>, how: BlockJobStart): Promise<BlockJob>;
  copyNeeds(guest: G, ask: Request<typeof copyBlocks>): Promise<ImageNeed[]>;
  /** @param disk all jobs when left out */
  list(guest: G, disk: string | undefined, signal: AbortSignal): Promise<BlockJob[]>;
  /** Given again under its id, also after a restart of ours, it comes to what the job came to. */
  abort(guest: G, ask: Request<typeof abortBlockJob>, how: Pick<BlockJobStart, 'command' | 'signal'>): Promise<void>;
  /** @param bandwidth bytes per second, 0 for no limit */
  setSpeed(guest: G, disk: string, bandwidth: number, signal: AbortSignal): Promise<void>;
}

export interface DisksFacet<G extends Guest = Guest> {
  /**
   * Resolves with the size that the guest sees then, bytes. `capacity`: all of what a raw image lies in; `bytes` beside it has
   * to agree. Cuts nothing off unless told to `shrink`.
   */
  resize(
    guest: G,
    disk: Disk,
    size: { bytes?: number | undefined; capacity: boolean; shrink: boolean },
    signal: AbortSignal,
  ): Promise<number>;
  /** @param limited the live document with the new limits of `target` and its group */
  limit(guest: G, target: string, limited: (live: Domain) => Domain, signal: AbortSignal): Promise<void>;
  /** @param image as callers name it: `vda`, `vda[3]` */
  setThreshold(guest: G, image: string, bytes: number, signal: AbortSignal): Promise<void>;
  /** @param guest undefined for a domain that does not run */
  sizes(guest: G | undefined, disk: Disk, signal: AbortSignal): Promise<DiskSizes>;
  errors(guest: G, signal: AbortSignal): Promise<DiskError[]>;
}

export interface ImagesFacet {
  /** Do the images of a disk that the document describes still make this chain? Reads them; changes nothing. */
  areStill(disk: Disk, chain: ChainDocument): Promise<boolean>;
}
