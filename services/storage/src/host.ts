/** What every part of the service works with: whose storage this is, where its state lies, how it tells what happens. */
import type { ImageFormat, ImageUser, Location, StorageEvent } from '@virtbus/shared';
import type { Bus, Endpoint } from '@virtbus/shared/bus';
import type { Log } from '@virtbus/shared/log';

export interface StorageHost {
  /** Name of the host. */
  readonly name: string;
  /** `<state>/hosts/<host>/storage`; each part has a folder of its own below. */
  readonly folder: string;
  /** What tells this machine's files from another's, in identities. */
  readonly machine: string;
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

/** A volume as its pool knows it. */
export interface KnownVolume {
  pool: string;
  volume: string;
  location: Location;
  format: ImageFormat;
  /** We made it, so its format is certain. */
  created: boolean;
}

/** What pools tell those who look for images. */
export interface VolumeDirectory {
  /** Throws when there is no such pool, it does not run, or it has no such volume. */
  find(pool: string, volume: string): Promise<KnownVolume>;
  /** Pools that run and of whose volumes nobody knows: they cannot be looked into, or were not yet. */
  unseen(): Promise<string[]>;
  /** All volumes of the pools that run. */
  list(): Promise<KnownVolume[]>;
  /**
   * Where the volume lies, or where a new one of that name would.
   * @throws OPERATION_UNSUPPORTED for a pool whose volumes are not files and that has none of the name
   */
  placeFor(pool: string, volume: string): Promise<Location>;
  /** A guest has changed these images, or made them: volumes among them are looked at again. */
  changed(paths: readonly string[]): Promise<void>;
  /** An image was made at this path, of this format: it is a volume where it lies in a pool that runs. */
  made(path: string, format: ImageFormat): Promise<void>;
  /** Domains have let go of these images, and may have removed them: volumes that are gone are dropped, in their own time. */
  letGo(paths: readonly string[]): void;
}

/** What is known of the use of images, for those who would change one. */
export interface ImageUse {
  /** Domains of this host, and volumes, that stand on the image: as their active layer or below. Empty for no image. */
  usersOf(path: string): Promise<ImageUser[]>;
  /**
   * Nobody begins to use the image while the result is held.
   * @param what is done to it: `deleted`, `resized`
   * @param below also volumes and definitions that only stand on it are in the way
   * @throws `IMAGE_IN_USE` that names who uses it
   */
  claim(path: string, what: string, below: boolean): Promise<Disposable>;
}

/** Pools, volumes, chains: what each brings to the bus. */
export interface Part {
  endpoints: Endpoint[];
  /** Before anybody is answered: take up what was there before. */
  begin?(): Promise<void>;
  /** The bus is there. */
  connect?(bus: Bus): void;
}
