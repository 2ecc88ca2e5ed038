/** What a hypervisor brings for checkpoints: the bitmaps. Descriptions are the runtime's. */
import type { Domain } from '@virtbus/domain-xml';
import type { Checkpoint } from '@virtbus/domain-xml/checkpoint';
import type { Guest } from '../driver';

export interface CheckpointsFacet<G extends Guest = Guest> {
  /** Throws what cannot be recorded of this domain. @param checkpoint aligned with the domain's disks */
  check(domain: Domain, checkpoint: Checkpoint): void;
  /** All bitmaps or none. `quiesce`: the guest's own file systems are frozen meanwhile. */
  create(guest: G, checkpoint: Checkpoint, how: { quiesce: boolean; signal: AbortSignal }): Promise<void>;
  /** Are its bitmaps there and whole? Throws `CHECKPOINT_INCONSISTENT` when one is not. */
  validate(guest: G, checkpoint: Checkpoint, signal: AbortSignal): Promise<void>;
  /** Bytes written since, by target; throws as `validate`. */
  sizes(guest: G, checkpoint: Checkpoint, signal: AbortSignal): Promise<ReadonlyMap<string, number>>;
  /** Take its bitmaps out of all images; what is not there is no fault. */
  remove(guest: G, checkpoint: Checkpoint, signal: AbortSignal): Promise<void>;
}
