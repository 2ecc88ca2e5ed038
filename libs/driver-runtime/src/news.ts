/** What a guest tells of itself. */
import type { Domain } from '@virtbus/domain-xml';
import type { ChainDocument, DomainState, EventClass, LifecycleDetail, LifecycleType } from '@virtbus/shared';

/** What a guest tells of itself, in the order it happened. */
export type GuestNews =
  /** Another state, with the lifecycle event that tells it to the world (`start` tells its own). */
  | { kind: 'state'; to: DomainState; event?: LifecycleNews; caused?: boolean; trigger?: string | undefined }
  /** The guest is no more: its process is reaped or proven gone. */
  | {
      kind: 'ended';
      to: DomainState & { state: 'shutoff' };
      detail: LifecycleDetail<'stopped'>;
      /** How it ended, where that is known: `exitStatus` or `signal` of its first process. */
      data?: Record<string, unknown> | undefined;
      caused?: boolean;
      trigger?: string | undefined;
    }
  | ({ kind: 'event' } & EventNews)
  /**
   * The live document has changed.
   * @property leaving targets of disks that it has lost and whose images are not closed yet
   */
  | { kind: 'live'; leaving?: ReadonlySet<string> }
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
  /** What the hypervisor told that led to it, in its words. */
  trigger?: string | undefined;
}

export interface LifecycleNews {
  type: LifecycleType;
  detail: LifecycleDetail;
}

/** `caused` marks news that answer a call of ours, and so carry its command's id. */
export type GuestSink = (news: GuestNews) => void;
