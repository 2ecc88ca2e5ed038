/**
 * What a hypervisor brings to move a running guest. Phases, their order and what is on disk are the runtime's
 * (`contracts/migration-host.ts` of libs/shared tells the rules); the facet does what is asked, each step once in a run of
 * the driver.
 */
import type { Domain } from '@virtbus/domain-xml';
import {
  VirtError,
  type MigrationEnd,
  type MigrationOptions,
  type MigrationProgress,
  type MigrationReason,
  type MigrationRole,
} from '@virtbus/shared';
import type { Guest, StartSpec } from '../driver';

/** What every step knows of the migration that it is part of. */
export interface MigrationAsk {
  id: string;
  /** This side: the name of the host, and the uuid by which it is told from all others. */
  own: { host: string; uuid: string };
  /** The other side. */
  peer: MigrationEnd;
  /** Of the domain on the source: cookies know it by that. */
  sourceName: string;
  options: MigrationOptions;
  signal: AbortSignal;
}

/** How far the hypervisor got, for a driver that comes back. */
export type Transferred =
  /** Nothing is sent, or it was cancelled or failed: the guest belongs here. */
  | 'not-begun'
  | 'sending'
  /** Everything was sent: the guest here stays paused. */
  | 'handed-over'
  /** Source: the other side has the guest, and fetches its memory. It can never run here again. */
  | 'post-copy'
  /** Target: everything has arrived. */
  | 'arrived'
  /** Post-copy whose link broke; of the source, too, the guest can never run here again. */
  | 'stranded';

/** What the source shows the target before anything begins. */
export interface Shown {
  /** Disks that would be copied, with the bytes that they take on the source, and which image each is. */
  copies?: { target: string; allocated: number; image?: string | undefined }[] | undefined;
  /** In PEM. */
  certificates?: { authority: string; certificate: string } | undefined;
  /** What the guest has of its host's CPU, in the words of the hypervisor. */
  cpu?: { features: string[]; vendor?: string | undefined } | undefined;
  /** Of a domain that is off: the file with its firmware variables, which nobody sends. */
  nvram?: string | undefined;
}

export interface MigrationFacet<G extends Guest> {
  /** Source: what the target needs to know for its `obstacles`. What cannot be shown is among the `blockers`. */
  show(guest: G, ask: Omit<MigrationAsk, 'id'>): Promise<Shown>;
  /** Source: why the guest cannot leave now: blockers of the hypervisor, running block jobs, unsafe caches. */
  blockers(guest: G, ask: Omit<MigrationAsk, 'id'>): Promise<MigrationReason[]>;
  /** Source: why the definition of a domain that is off cannot leave alone. None where it is left out. */
  offlineBlockers?(domain: Domain, ask: Omit<MigrationAsk, 'id'>): Promise<MigrationReason[]>;
  /** Source: what of a domain that is off the target needs to know. Nothing where it is left out. */
  showOffline?(domain: Domain): Shown;
  /** Target: why a guest of this document could not run here: CPU, machine type, images, networks, ports. */
  obstacles(domain: Domain, ask: Omit<MigrationAsk, 'id'> & Shown): Promise<MigrationReason[]>;
  /**
   * Source: cookie A, and the document that the target starts. Changes nothing that a user sees.
   * @param ask.leases what the guest holds of its images, as text that travels with it
   */
  begin(
    guest: G,
    ask: MigrationAsk & { leases: string },
  ): Promise<{
    cookie: Uint8Array;
    domain: Domain;
    /** Disks that are copied, with their size in bytes. */
    copies?: { target: string; capacity: number }[];
  }>;
  /** Target: launch a guest that waits, paused, for what `perform` sends to `uri`; cookie B. Refuses a cookie that is not for it. */
  receive(
    spec: Omit<StartSpec, 'restore' | 'paused'>,
    ask: MigrationAsk & { cookie: Uint8Array },
  ): Promise<{ guest: G; uri: string; cookie: Uint8Array }>;
  /**
   * Source: send the guest. Resolves when all of it is sent, or post-copy has begun. Rejects when it was not handed over, and
   * is withdrawn then; or when the last of it did not get through, which the target finds out, too.
   * @param ask.handOver called with cookie C once the guest stands still here and the last of it is on its way; throws when it
   *   was undone. `certain`: the hypervisor lets it run here again only when the target can never have all of it. The target
   *   is told at once then, and waits; else when this resolves.
   */
  perform(
    guest: G,
    ask: MigrationAsk & {
      uri: string;
      cookie: Uint8Array;
      handOver: (cookie: Uint8Array, how: { certain: boolean }) => void;
      progress: (now: MigrationProgress) => void;
    },
  ): Promise<void>;
  /**
   * Target: wait until everything has arrived, or post-copy runs, and let the guest run unless it is to stay paused.
   * Rejects also when it has waited too long. `sum`: what came of it, by the source's word and the clock of this host.
   * @param ask.letRun called with true before the guest may run: until then nothing has been done with it here; with false when
   *   the hypervisor has refused that
   */
  finish(
    guest: G,
    ask: MigrationAsk & { cookie: Uint8Array; letRun: (may: boolean) => void },
  ): Promise<{ sum?: MigrationProgress | undefined }>;
  /** Target: cookie D, by which the source knows whose word it is; also of a guest that has run and ended. */
  arrived(uuid: string, ask: MigrationAsk): Uint8Array;
  /** Source: what is to be done before the guest here is ended: clients of its screens have moved. */
  confirm(guest: G, ask: MigrationAsk & { cookie: Uint8Array }): Promise<void>;
  /** Source: it was handed over, and does not live where it went: what both sides reach is this host's to look after again. */
  belongsHere(guest: G): void;
  /** Source: stop the transfer and take back what was set for it. The caller lets the guest run if it did before. */
  withdraw(guest: G, ask: Omit<MigrationAsk, 'options'>): Promise<void>;
  /** How far it is on this side, asked of the hypervisor. */
  transferred(guest: G, role: MigrationRole): Promise<Transferred>;
  limits(
    guest: G,
    limits: {
      bandwidth?: number | undefined;
      postcopyBandwidth?: number | undefined;
      downtimeMs?: number | undefined;
    },
    signal: AbortSignal,
  ): Promise<void>;
  readonly postcopy?: {
    /** Source: switch now. */
    start(guest: G, signal: AbortSignal): Promise<void>;
    /** Target: listen again after the link broke. */
    await(guest: G, ask: MigrationAsk): Promise<{ uri: string }>;
    /** Source: send the rest again. Resolves when it is on its way; rejects when the target is not reached. */
    resume(guest: G, ask: MigrationAsk & { uri: string }): Promise<void>;
    /** Target: all of it has arrived; take back what was set for it. */
    end(guest: G): Promise<void>;
  };
}

/** The one place where "this driver has no post-copy" is said. */
export function postcopyOf<G extends Guest>({ postcopy }: MigrationFacet<G>): NonNullable<typeof postcopy> {
  if (postcopy) return postcopy;
  const detail = 'this driver cannot let a guest run before all its memory has arrived';
  throw new VirtError('OPERATION_UNSUPPORTED', { detail });
}
