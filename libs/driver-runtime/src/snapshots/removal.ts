/**
 * Images that go with a snapshot: storage is asked for each as for one that is written to, so that none is taken from under
 * another, and nobody begins to stand on it meanwhile.
 */
import { existsSync } from 'node:fs';
import { formatDevice, withImages, type Disk, type DiskImage } from '@virtbus/domain-xml';
import type { ChainDocument, ImageNeed } from '@virtbus/shared';
import { filesOf } from './overlays';

export interface Going {
  /** The disk as whose image it was made. */
  disk: Disk;
  image: DiskImage;
}

const named = 'gone';
const looked = 'state';

/** One for each that is there. @param how of what may stay as well */
export const removalNeeds = (going: readonly Going[], how: Pick<ImageNeed, 'mayStay'> = {}): ImageNeed[] =>
  going
    .filter(({ image: { source } }) => source.file !== undefined && existsSync(source.file))
    .map(({ disk, image }, n) => {
      const target = disk.target.dev ?? '';
      const value = withImages(disk, [image], true);
      const xml = formatDevice({ list: 'disks', value }, 'inactive');
      return { name: `${named}${n}:${target}`, target, use: 'write', disk: xml, ...how };
    });

/** One for each that may stand on what goes: looked at, with all below it. */
export const stateNeeds = (disks: readonly Disk[]): ImageNeed[] =>
  disks.map((disk, n) => {
    const target = disk.target.dev ?? '';
    const xml = formatDevice({ list: 'disks', value: { ...disk, readonly: true } }, 'inactive');
    return { name: `${looked}${n}:${target}`, target, use: 'open', disk: xml, mayStay: true };
  });

/** Files that were prepared to go, and those of everything else that was prepared. */
export function partedFiles(chains: ReadonlyMap<string, ChainDocument>): {
  going: ReadonlySet<string>;
  used: ReadonlySet<string>;
} {
  const goes = (name: string): boolean => name.startsWith(named) && name.includes(':');
  const of = (wanted: boolean) => filesOf(new Map([...chains].filter(([name]) => goes(name) === wanted)));
  return { going: of(true), used: of(false) };
}
