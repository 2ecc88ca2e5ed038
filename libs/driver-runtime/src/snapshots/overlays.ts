/** The overlays of an external snapshot, and the documents of a domain that stands on them. */
import {
  definedWithOverlay,
  diskImages,
  isSameLocation,
  nextIndex,
  withOverlay,
  type DiskImage,
  type Domain,
} from '@virtbus/domain-xml';
import type { Snapshot, SnapshotDisk } from '@virtbus/domain-xml/snapshot';
import type { ChainDocument } from '@virtbus/shared';

type Disks = Pick<Snapshot, 'disks'>;

/** The new image of each disk with an external snapshot, by target. */
export function overlaysOf({ disks }: Disks): ReadonlyMap<string, DiskImage> {
  return new Map(
    disks.flatMap((disk) => (disk.snapshot === 'external' ? [[disk.name, overlayOf(disk)] as const] : [])),
  );
}

/** Where each is to be, by the name of its need. */
export const placesOf = (overlays: ReadonlyMap<string, DiskImage>): ReadonlyMap<string, DiskImage['source']> =>
  new Map([...overlays].map(([target, { source }]) => [`overlay:${target}`, source]));

function overlayOf({ type = 'file', source, driver }: SnapshotDisk): DiskImage {
  const { type: format = 'qcow2', ...rest } = driver ?? {};
  return { type, source: source ?? { hosts: [], seclabels: [] }, format: { ...rest, type: format } };
}

/** The disk's active image is that one. */
export function isOn(disk: Disk | undefined, image: DiskImage): boolean {
  const [top] = disk ? diskImages(disk) : [];
  return top !== undefined && isSameLocation(top, image);
}

/**
 * The live document afterwards. The same numbers come out whenever it is asked of the same document; what comes out stays as it
 * is when it is asked of that.
 * @param floor the lowest number for an overlay
 */
export function withOverlays(live: Domain, snapshot: Disks, floor?: number): Domain {
  const overlays = overlaysOf(snapshot);
  let index = nextIndex(live, floor);
  return withDisks(live, (disk, target) => {
    const image = overlays.get(target);
    if (!image || isOn(disk, image)) return disk;
    return withOverlay(disk, { ...image, source: { ...image.source, index: index++ } });
  });
}

/** The definition afterwards: disks of which it says what the guest had go with it, once. */
export function definitionWithOverlays(config: Domain, live: Domain, snapshot: Disks): Domain {
  const overlays = overlaysOf(snapshot);
  return withDisks(config, (defined, target) => {
    const image = overlays.get(target);
    const before = live.devices.disks.find((disk) => disk.target.dev === target);
    return image && before && !isOn(defined, image) ? definedWithOverlay(defined, before, image) : defined;
  });
}

type Disk = Domain['devices']['disks'][number];

export function withDisks(domain: Domain, change: (disk: Disk, target: string) => Disk): Domain {
  const disks = domain.devices.disks.map((disk) => change(disk, disk.target.dev ?? ''));
  return { ...domain, devices: { ...domain.devices, disks } };
}

/** Paths of all files that chains consist of. */
export function filesOf(chains: ReadonlyMap<string, ChainDocument>): ReadonlySet<string> {
  const layers = [...chains.values()].flatMap((chain) => chain.layers);
  return new Set(layers.flatMap(({ location }) => (location.type === 'file' ? [location.path] : [])));
}
