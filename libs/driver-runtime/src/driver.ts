/**
 * What a hypervisor must bring: a small core, and facets for what only some can do.
 *
 * A facet is there or it is not; no method exists only to refuse. `libs/driver-runtime` brings the rest: endpoints,
 * per-domain jobs, the journal, adoption after a restart, heartbeats.
 */
import type { Cpu, Device, Disk, Domain } from '@virtbus/domain-xml';
import type { Snapshot } from '@virtbus/domain-xml/snapshot';
import {
  VirtError,
  type abortBlockJob,
  type BlockJob,
  type CommandEnd,
  type ChainDocument,
  type commitBlocks,
  type compareCpu,
  type copyBlocks,
  type DiskError,
  type DiskSizes,
  type DomainState,
  type DomainStats,
  type EventClass,
  type explainDomain,
  type ImageNeed,
  type LifecycleDetail,
  type LifecycleType,
  type PowerMode,
  type pullBlocks,
  type ReasonOf,
  type Request,
  type Response,
  type StatsGroup,
  type TaintType,
  type TerminalSize,
  type Tuning,
} from '@virtbus/shared';
import type { Log } from '@virtbus/shared/log';
import type { BackupFacet } from './backup/facet';
import type { CheckpointsFacet } from './checkpoints/facet';
import type { MigrationFacet } from './migration/facet';
import type { SnapshotsFacet } from './snapshots/facet';

/** What a driver must remember of a running guest to find it again: plain JSON of its own. */
export type SavedGuest = Record<string, unknown>;

/** What a guest tells of itself, in the order it happened. */
export type GuestNews =
  /** Another state, with the lifecycle event that tells it to the world (`start` tells its own). */
  | { kind: 'state'; to: DomainState; event?: LifecycleNews; caused?: boolean }
  /** The guest is no more: its process is reaped or proven gone. */
  | {
      kind: 'ended';
      to: DomainState & { state: 'shutoff' };
      detail: LifecycleDetail<'stopped'>;
      /** How it ended, where that is known: `exitStatus` or `signal` of its first process. */
      data?: Record<string, unknown> | undefined;
      caused?: boolean;
    }
  | ({ kind: 'event' } & EventNews)
  /** The live document has changed. */
  | { kind: 'live' }
  /** What is remembered of the guest has changed: it is on disk when the call returns. */
  | { kind: 'saved' }
  | BackupNews
  | ImagesNews;

/** The backup that ran has ended, with all its disks. */
export interface BackupNews {
  kind: 'backup-ended';
  outcome: 'completed' | 'failed' | 'cancelled';
  /** Bytes. */
  total: number;
  processed: number;
  error?: string | undefined;
}

/** Disks stand on other images than before: live document, definition, what is held, and the event, in one turn. */
export interface ImagesNews {
  kind: 'images';
  /** What each disk stands on now, by target; undefined where that is not known. */
  chains: Readonly<Record<string, ChainDocument | undefined>>;
  /** The definition that goes with it: the same one when it is not touched. */
  definition: (config: Domain) => Domain;
  /** Left out: nothing has happened yet, and the definition is to be on disk before it does. */
  event?: EventNews;
}

export interface EventNews {
  class: EventClass;
  type: string;
  detail?: string | undefined;
  data?: Record<string, unknown> | undefined;
  caused?: boolean;
}

export interface LifecycleNews {
  type: LifecycleType;
  detail: LifecycleDetail;
}

/** `caused` marks news that answer a call of ours, and so carry its command's id. */
export type GuestSink = (news: GuestNews) => void;

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
  readonly live: Domain;
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

export interface Driver<G extends Guest = Guest> {
  readonly name: string;
  readonly hypervisorVersion: string;
  /** Domain types, best first. */
  readonly virtTypes: readonly string[];
  readonly arches: readonly string[];
  readonly facets: Facets<G>;
  /**
   * What a new definition becomes here: defaults filled, checked, devices placed and named.
   * @param before the definition it replaces, whose devices keep their places
   */
  prepare(domain: Domain, how: { before?: Domain | undefined }): { domain: Domain; warnings: string[] };
  /** Why nobody vouches for a guest of this document; no reasons when left out. */
  taints?(domain: Domain): TaintType[];
  /**
   * Resolves with the guest ready, paused or incoming from the save image, and the caller lets it run. A container runs
   * from the moment it is there: unless it is to stay paused, its `resume` only tells of it.
   */
  start(spec: StartSpec): Promise<G>;
  /** Find a guest that was started by an earlier process of ours. Never harms it, also when it does not answer. */
  reattach(spec: ReattachSpec): Promise<Reattached<G>>;
  hostCapabilities(): { xml: string; document: unknown };
  domainCapabilities(ask: {
    virtType?: string | undefined;
    arch?: string | undefined;
    machine?: string | undefined;
    emulator?: string | undefined;
  }): { xml: string; document: unknown };
}

/** Progress of a job in bytes. */
export interface Progress {
  total: number;
  processed: number;
  remaining: number;
}

/** A console of a guest: one stream of bytes each way. */
export interface ConsoleChannel {
  readonly device: string;
  /** The last output, at most `bytes`. */
  backlog(bytes: number): Uint8Array;
  /** Listen; returns how to stop. */
  onOutput(listener: (bytes: Uint8Array) => void): () => void;
  write(bytes: Uint8Array): Promise<void>;
  /** The window that it is shown in; absent where a line has no size. */
  resize?(size: TerminalSize): void;
}

/** A command that runs inside a guest. */
export interface InsideCommand {
  /** Resolves when there is room for more. */
  write(bytes: Uint8Array): Promise<void>;
  /** Its standard input ends. */
  endInput(): void;
  /** The window of its terminal; absent when it has none. */
  resize?: (size: TerminalSize) => void;
  /** Nobody listens any more: end it with what it has started. */
  kill(): void;
  /** What it writes; nothing is lost that was written before. Reading waits for the promise. */
  onOutput(listener: (bytes: Uint8Array, from: 'output' | 'errors') => Promise<void>): void;
  /** Resolves when it has ended and all its output was passed on. */
  readonly ended: Promise<CommandEnd>;
}

/** What comes with a command that begins a block job. */
export interface BlockJobStart {
  /** Id of the command. */
  command: string;
  signal: AbortSignal;
  /** Images that were prepared for the command, by the name of the need: `mirror:vda`. */
  images: ReadonlyMap<string, ChainDocument>;
}

export interface Facets<G extends Guest = Guest> {
  readonly power?: {
    shutdown(guest: G, modes: readonly PowerMode[], signal: AbortSignal): Promise<void>;
    reboot(guest: G, modes: readonly PowerMode[], signal: AbortSignal): Promise<void>;
  };
  readonly reset?: { press(guest: G, signal: AbortSignal): Promise<void> };
  /** The memory that a running guest may use: its balloon, or its limit. */
  readonly memory?: { set(guest: G, kib: number, signal: AbortSignal): Promise<void> };
  /** How much of the host a running guest may take. */
  readonly tuning?: {
    /** What the host holds it to now. */
    read(guest: G): Tuning;
    /** Hold the guest to what this document limits; it becomes its live document. Throws with nothing changed. */
    apply(guest: G, tuned: Domain): void;
  };
  readonly vcpus?: { set(guest: G, count: number, signal: AbortSignal): Promise<void> };
  /**
   * Each tells `live` when the document changed, and returns the device as it is now.
   * `chain` is what a disk stands on: the driver opens no other images.
   */
  readonly devices?: {
    attach(guest: G, device: Device, signal: AbortSignal, chain?: ChainDocument): Promise<Device>;
    detach(guest: G, device: Device, signal: AbortSignal): Promise<Device>;
    update(guest: G, device: Device, signal: AbortSignal, chain?: ChainDocument): Promise<Device>;
  };
  /** Jobs on the images of disks. Each is followed to its end, also across restarts; `images` and `block-job` news tell of it. */
  readonly blockJobs?: {
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
  };
  readonly snapshots?: SnapshotsFacet<G>;
  readonly backup?: BackupFacet<G>;
  readonly checkpoints?: CheckpointsFacet<G>;
  readonly disks?: {
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
  };
  readonly images?: {
    /** Do the images of a disk that the document describes still make this chain? Reads them; changes nothing. */
    areStill(disk: Disk, chain: ChainDocument): Promise<boolean>;
  };
  readonly save?: {
    /** Throws what keeps the guest from being saved now. */
    check?(guest: G): void;
    /** Write the paused guest to a file; the guest stays as it is. */
    save(
      guest: G,
      image: { path: string; domain: Domain; running: boolean },
      how: { signal: AbortSignal; progress: (p: Progress) => void },
    ): Promise<void>;
    /** What a save image holds. */
    inspect(path: string): Promise<{ xml: string; running: boolean }>;
  };
  readonly migration?: MigrationFacet<G>;
  readonly stats?: {
    collect(guest: G, groups: ReadonlySet<StatsGroup>, signal: AbortSignal): Promise<Partial<DomainStats>>;
  };
  readonly screenshot?: {
    take(guest: G, screen: number, signal: AbortSignal): Promise<{ mime: string; data: Buffer }>;
  };
  readonly keyboard?: {
    sendKey(
      guest: G,
      keys: readonly (string | number)[],
      how: { codeset: 'linux' | 'qcode'; holdMs: number; signal: AbortSignal },
    ): Promise<void>;
  };
  readonly agent?: {
    execute(
      guest: G,
      command: { execute: string; arguments?: Record<string, unknown> | undefined },
      how: { timeoutMs: number; signal: AbortSignal },
    ): Promise<unknown>;
  };
  readonly monitor?: {
    execute(
      guest: G,
      command: {
        execute?: string | undefined;
        arguments?: Record<string, unknown> | undefined;
        hmp?: string | undefined;
      },
      signal: AbortSignal,
    ): Promise<unknown>;
  };
  /** Domain documents from and to what the hypervisor's own users write. Nothing is started or kept. */
  readonly native?: {
    /** Names of the formats, as `virsh domxml-from-native` takes them: `qemu-argv`, `lxc-tools`. */
    readonly formats: readonly string[];
    /** Throws `CONFIG_UNSUPPORTED` for what this host could not start. */
    toNative(format: string, domain: Domain): Promise<string> | string;
    /** What the document cannot say is told by a warning each; throws `CONFIG_UNSUPPORTED` where nothing can be made of it. */
    fromNative(format: string, text: string): { domain: Domain; warnings: string[] };
  };
  readonly exec?: {
    /** Throws `OPERATION_FAILED` when it cannot be run at all. */
    run(
      guest: G,
      command: {
        words: readonly string[];
        env: Readonly<Record<string, string>>;
        uid?: number | undefined;
        gid?: number | undefined;
        /** With a terminal of this size. */
        terminal?: TerminalSize | undefined;
      },
    ): Promise<InsideCommand>;
  };
  /** Every pass that a definition goes through here, told by what it changed. */
  readonly explain?: { explain(xml: string): Response<typeof explainDomain> };
  /** CPUs of documents against what guests can have here. `ask` chooses the hypervisor as for domain capabilities. */
  readonly cpu?: {
    compare(cpu: Cpu, ask: Parameters<Driver['domainCapabilities']>[0]): Response<typeof compareCpu>;
    baseline(
      cpus: readonly Cpu[],
      how: { features: boolean; migratable: boolean; onHost: boolean },
      ask: Parameters<Driver['domainCapabilities']>[0],
    ): Cpu;
  };
  readonly console?: {
    /** Throws `DEVICE_MISSING` when the guest has no such console. */
    channel(guest: G, device: string | undefined): ConsoleChannel;
  };
}

/** The one place where "this driver cannot" is said. */
export function facet<G extends Guest, K extends keyof Facets<G>>(
  driver: Driver<G>,
  name: K,
): NonNullable<Facets<G>[K]> {
  const found = driver.facets[name];
  if (!found) throw new VirtError('UNSUPPORTED_BY_DRIVER', { driver: driver.name, operation: name });
  return found;
}
