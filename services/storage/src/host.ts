/** What every part of the service works with: whose storage this is, where its state lies, how it tells what happens. */
import type { StorageEvent } from '@virtbus/shared';
import type { Endpoint } from '@virtbus/shared/bus';
import type { Log } from '@virtbus/shared/log';

export interface StorageHost {
  /** Name of the host. */
  readonly name: string;
  /** `<state>/hosts/<host>/storage`; each part has a folder of its own below. */
  readonly folder: string;
  /** What a backing image without a recorded format means. */
  readonly policy: 'strict' | 'compatible';
  readonly log: Log;
  /** Put an event into the journal: it will reach the log of the fleet, whenever the bus is there. */
  tell(event: NewStorageEvent): void;
}

export type NewStorageEvent = Pick<StorageEvent, 'entity' | 'name' | 'type' | 'data'> & {
  /** The command that caused it. */
  cause?: { id: string; traceparent?: string | undefined } | undefined;
};

/** Pools, volumes, chains: what each brings to the bus. */
export interface Part {
  endpoints: Endpoint[];
}
