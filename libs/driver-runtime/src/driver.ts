/**
 * What a hypervisor must bring: a small core, and facets for what only some can do.
 *
 * A facet is there or it is not; no method exists only to refuse. `libs/driver-runtime` brings the rest: endpoints,
 * per-domain jobs, the journal, adoption after a restart, heartbeats.
 */
import type { Domain } from '@virtbus/domain-xml';
import { VirtError, type TaintType } from '@virtbus/shared';
import type { BackupFacet } from './backup/facet';
import type { CheckpointsFacet } from './checkpoints/facet';
import type { BlockJobsFacet, DisksFacet, ImagesFacet } from './facets/disks';
import type { CpuFacet, ExplainFacet, HypervisorChoice, NativeFacet } from './facets/documents';
import type { DevicesFacet, MemoryFacet, PowerFacet, ResetFacet, TuningFacet, VcpusFacet } from './facets/hardware';
import type { AgentFacet, ConsoleFacet, ExecFacet, KeyboardFacet, ScreenshotFacet } from './facets/inside';
import type { MonitorFacet, SaveFacet, StatsFacet } from './facets/state';
import type { Guest, Reattached, ReattachSpec, StartSpec } from './guest';
import type { MigrationFacet } from './migration/facet';
import type { SnapshotsFacet } from './snapshots/facet';
import { withoutFacet } from './unsupported';

export type { BlockJobStart } from './facets/disks';
export type { ConsoleChannel, InsideCommand } from './facets/inside';
export type { Progress } from './facets/state';
export type * from './guest';
export type * from './news';

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
  /** A start has been asked for, and may yet be refused: what the machine takes its time over can begin meanwhile. */
  expectStart?(): void;
  /**
   * Resolves with the guest ready, paused or incoming from the save image, and the caller lets it run. A container runs
   * from the moment it is there: unless it is to stay paused, its `resume` only tells of it.
   */
  start(spec: StartSpec): Promise<G>;
  /** Find a guest that was started by an earlier process of ours. Never harms it, also when it does not answer. */
  reattach(spec: ReattachSpec): Promise<Reattached<G>>;
  hostCapabilities(): { xml: string; document: unknown };
  domainCapabilities(ask: HypervisorChoice): { xml: string; document: unknown };
}

export interface Facets<G extends Guest = Guest> {
  readonly power?: PowerFacet<G>;
  readonly reset?: ResetFacet<G>;
  readonly memory?: MemoryFacet<G>;
  readonly tuning?: TuningFacet<G>;
  readonly vcpus?: VcpusFacet<G>;
  readonly devices?: DevicesFacet<G>;
  readonly blockJobs?: BlockJobsFacet<G>;
  readonly snapshots?: SnapshotsFacet<G>;
  readonly backup?: BackupFacet<G>;
  readonly checkpoints?: CheckpointsFacet<G>;
  readonly disks?: DisksFacet<G>;
  readonly images?: ImagesFacet;
  readonly save?: SaveFacet<G>;
  readonly migration?: MigrationFacet<G>;
  readonly stats?: StatsFacet<G>;
  readonly screenshot?: ScreenshotFacet<G>;
  readonly keyboard?: KeyboardFacet<G>;
  readonly agent?: AgentFacet<G>;
  readonly monitor?: MonitorFacet<G>;
  readonly native?: NativeFacet;
  readonly exec?: ExecFacet<G>;
  readonly explain?: ExplainFacet;
  readonly cpu?: CpuFacet;
  readonly console?: ConsoleFacet<G>;
}

/** The one place where "this driver cannot" is said. */
export function facet<G extends Guest, K extends keyof Facets<G>>(
  driver: Driver<G>,
  name: K,
): NonNullable<Facets<G>[K]> {
  const found = driver.facets[name];
  if (!found) throw new VirtError('UNSUPPORTED_BY_DRIVER', { driver: driver.name, operation: withoutFacet[name] });
  return found;
}
