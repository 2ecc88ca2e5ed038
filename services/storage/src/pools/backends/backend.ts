/** What a type of pool must be able to do: one implementation a type, found in the table of `index.ts`. */
import type { Stats } from 'node:fs';
import type { ImageFormat } from '@virtbus/shared';
import type { Pool, Volume } from '@virtbus/domain-xml/storage';

/** A volume as it lies there. */
export interface FoundVolume {
  volume: Volume;
  /** Why its header cannot be believed. */
  fault?: string;
  /** We made the image in this very file: its format is certain. */
  made?: boolean;
  /** What the file system told of the file when its header was read, if it must tell otherwise once that changes. */
  seen?: string | undefined;
}

export interface Space {
  /** Bytes. */
  capacity: number;
  allocation: number;
  available: number;
}

export interface Contents {
  space: Space;
  volumes: FoundVolume[];
}

/** What a look into a pool need not find out anew. */
export interface Knowledge {
  /** The format of the image in this very file, when we made it. */
  formatOf: (name: string, stats: Stats) => ImageFormat | undefined;
  /** What was found there before. */
  before: (name: string) => FoundVolume | undefined;
}

export interface Backend {
  /** Whether it is usable already: asked after a restart of ours. */
  isUp(pool: Pool): Promise<boolean>;
  /** Make the storage itself; without `overwrite` only where there is nothing yet. */
  build(pool: Pool, overwrite: boolean, signal: AbortSignal): Promise<void>;
  start(pool: Pool, signal?: AbortSignal): Promise<void>;
  stop(pool: Pool): Promise<void>;
  /** Take the storage itself away. */
  remove(pool: Pool): Promise<void>;
  look(pool: Pool, known: Knowledge): Promise<Contents>;
  space(pool: Pool): Promise<Space>;
  /** How volumes that are no files come and go; absent: they are files in the pool's folder. */
  readonly devices?: DeviceVolumes;
}

export interface DeviceVolumes {
  /** Make it; the answer is its path. */
  create(pool: Pool, volume: Volume, signal: AbortSignal): Promise<string>;
  /** What tells the device at a path from others that get its name: its uuid, or its place on the disk; undefined when there is none. */
  identify(pool: Pool, path: string): Promise<string | undefined>;
  remove(pool: Pool, volume: Volume): Promise<void>;
  resize?(pool: Pool, volume: Volume, bytes: number): Promise<void>;
}

/** The pool's `<target>` path; every type that a backend exists for has one. */
export const pathOf = ({ target }: Pool): string => target?.path ?? '';
