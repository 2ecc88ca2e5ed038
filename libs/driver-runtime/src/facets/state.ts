/** A guest as a whole, looked at or kept: its memory in a file, figures, its hypervisor's own monitor. */
import type { Domain } from '@virtbus/domain-xml';
import type { DomainStats, StatsGroup } from '@virtbus/shared';
import type { Guest } from '../guest';

/** Progress of a job in bytes. */
export interface Progress {
  total: number;
  processed: number;
  remaining: number;
}

export interface SaveFacet<G extends Guest = Guest> {
  /** Throws what keeps the guest from being saved now. */
  check?(guest: G): void;
  /** Write the paused guest to a file; the guest stays as it is. */
  save(
    guest: G,
    image: { path: string; domain: Domain; running: boolean },
    how: { signal: AbortSignal; progress: (p: Progress) => void },
  ): Promise<void>;
  /** After a crash of ours over a save: the guest lives on, whatever of it was written. */
  livesOn?(guest: G): Promise<void>;
  /** What a save image holds. */
  inspect(path: string): Promise<{ xml: string; running: boolean }>;
}

export interface StatsFacet<G extends Guest = Guest> {
  collect(guest: G, groups: ReadonlySet<StatsGroup>, signal: AbortSignal): Promise<Partial<DomainStats>>;
}

export interface MonitorFacet<G extends Guest = Guest> {
  execute(
    guest: G,
    command: {
      execute?: string | undefined;
      arguments?: Record<string, unknown> | undefined;
      hmp?: string | undefined;
    },
    signal: AbortSignal,
  ): Promise<unknown>;
}
