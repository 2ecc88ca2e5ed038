/**
 * What a block operation needs beside the disks of a domain: files that are made for it, images that it writes to and
 * nobody else stands on, images that it opens with all that they stand on.
 */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { formatLocation, identityKey, newOverlay, type NewImage } from '@virtbus/disk-image';
import { givenChain, parseDevice, type Disk } from '@virtbus/domain-xml';
import { isVirtError, VirtError, type ChainLayer, type ImageNeed, type Location } from '@virtbus/shared';
import type { VolumeDirectory } from '../host';
import { orExplain } from '../system-errors';
import type { MadeFiles, Maker } from './made-files';
import type { ResolvedDisk, Resolver } from './resolve';
import type { Use } from './use';

/** An image for a need. */
export type ResolvedNeed = ResolvedDisk & {
  need: ImageNeed;
  chain: NonNullable<ResolvedDisk['chain']>;
  /** Its file has been made for it. */
  made?: boolean;
  /** That was now, and not when the command came the first time. */
  fresh?: boolean;
};

export class Needs {
  constructor(
    private readonly resolver: Resolver,
    private readonly use: Use,
    private readonly made: MadeFiles,
    private readonly volumes: Pick<VolumeDirectory, 'placeFor'>,
  ) {}

  /**
   * Find or make them all; left out are those that are missing, or that others stand on, where the operation does without.
   * Files that were made stay when another need fails: the caller ends the claim then.
   * @throws IMAGE_IN_USE for what others stand on; CONFIG_UNSUPPORTED for a file that is there already
   */
  async resolve(maker: Maker, needs: readonly ImageNeed[]): Promise<ResolvedNeed[]> {
    const looked = await Promise.all(needs.filter(({ use }) => use !== 'create').map((need) => this.ifAny(need)));
    const found = looked.filter((one) => one !== undefined);
    const written = new Set(found.flatMap((one) => (one.writes && !one.need.mayStay ? keysOf(one) : [])));
    const free = await Promise.all(found.map((one) => this.isFree(maker.domain, one, written)));
    // Only now is anything made: what cannot be had is known by now.
    const all = new Map(found.flatMap((one, n) => (free[n] ? [[one.target, one]] : [])));
    for (const need of needs) if (need.use === 'create') all.set(need.name, await this.create(maker, need));
    return needs.flatMap(({ name }) => all.get(name) ?? []);
  }

  /** One that may stay, and cannot be looked into, does: it may be for that that it is given up. */
  private async ifAny(need: ImageNeed): Promise<ResolvedNeed | undefined> {
    try {
      return await this.existing(need);
    } catch (error) {
      if (need.mayStay) return undefined;
      throw error;
    }
  }

  private async existing(need: ImageNeed): Promise<ResolvedNeed | undefined> {
    const { disk, chain, missing } = await this.resolver.disk(need.disk, need.mayMiss ? [need.target] : []);
    if (missing) return undefined;
    if (!chain) throw noImage(need);
    return { need, target: need.name, disk, chain, writes: need.use === 'write' };
  }

  /**
   * Throws when others stand on what is to be written to; false when it may stay for them.
   * @param written identities of all that the command writes to: these are nobody else
   */
  private async isFree(
    domain: string,
    { need, chain, writes }: ResolvedNeed,
    written: ReadonlySet<string>,
  ): Promise<boolean> {
    const { location } = chain.layers[0]!;
    if (!writes || !('path' in location)) return true;
    try {
      await this.use.nobodyOn(location.path, { domain, target: need.target, written });
      return true;
    } catch (error) {
      if (need.mayStay && isVirtError(error, 'IMAGE_IN_USE')) return false;
      throw error;
    }
  }

  private async create(maker: Maker, need: ImageNeed): Promise<ResolvedNeed> {
    const device = parseDevice(need.disk);
    if (device.list !== 'disks') throw noImage(need);
    const disk = device.value;
    const place = await this.placeOf(disk, need);
    const layer: ChainLayer = { index: 0, location: place, format: disk.driver?.type ?? 'raw', formatKnown: 'created' };
    const resolved = (found: Partial<ChainLayer>): ResolvedNeed => ({
      ...{ need, target: need.name, disk, writes: true },
      chain: { version: 1, layers: [{ ...layer, ...found }] },
    });
    let overlay: Overlay | undefined;
    let fresh = false;
    if (place.type === 'file') {
      const device = await this.deviceAt(place);
      if (device) return resolved(device);
      overlay = await this.overlay(disk, need);
      fresh = await this.made.make(maker, place.path, need.target, overlay?.image);
    } else if (place.type === 'block') {
      const found = await this.deviceAt(place);
      if (!found) throw new VirtError('CONFIG_UNSUPPORTED', { detail: `'${place.path}' is no block device` });
      return resolved(found);
    }
    const { layers } = await this.resolver.chain({ location: place, ended: true });
    const { identity, physical } = layers[0]!;
    const seen = { ...(identity && { identity }), ...(physical !== undefined && { physical }) };
    const found = resolved({ ...overlay?.layer, ...seen });
    return { ...found, made: place.type === 'file', fresh };
  }

  /**
   * An overlay like the image that it is to stand on. Undefined for what is left to QEMU: other formats, encryption, what only
   * QEMU can read, and layouts that are not ours to write.
   */
  private async overlay(disk: Disk, { on }: ImageNeed): Promise<Overlay | undefined> {
    const device = on === undefined ? undefined : parseDevice(on);
    if (device?.list !== 'disks' || disk.driver?.type !== 'qcow2' || disk.source?.encryption) return undefined;
    const below = givenChain(device.value)?.images[0];
    if (!below || ('slice' in below.location && below.location.slice)) return undefined;
    const chain = await this.resolver.chain({ ...below, ended: true }).catch(() => undefined);
    const [layer] = chain?.layers ?? [];
    if (layer?.capacity === undefined || !isPlain(layer)) return undefined;
    const { capacity, clusterSize, format } = layer;
    const backing = { string: formatLocation(below.location), format };
    const image = newOverlay({ capacity, clusterSize, backing });
    return image && { image, layer: { capacity, backing, compat: '1.1' } };
  }

  private async placeOf(disk: Disk, need: ImageNeed): Promise<Location> {
    const { pool, volume } = disk.source ?? {};
    if (disk.type === 'volume' && pool !== undefined && volume !== undefined) {
      return this.volumes.placeFor(pool, volume);
    }
    const given = disk.type === 'volume' ? undefined : givenChain(disk);
    const location = given?.images[0].location;
    if (!location) throw noImage(need);
    if (location.type === 'file' && !location.path.startsWith('/')) {
      const detail = `disk ${need.target}: '${location.path}' is no absolute path: the file of an image is named by one`;
      throw new VirtError('INVALID_ARG', { detail });
    }
    if (location.type === 'file' || location.type === 'block' || location.type === 'network') return location;
    const detail = `disk ${need.target}: no image can be made in a place of type '${location.type}'`;
    throw new VirtError('OPERATION_UNSUPPORTED', { detail });
  }

  /** A block device that nobody uses; undefined when something else, or nothing, is there. */
  private async deviceAt({ path }: Location & { path: string }): Promise<Partial<ChainLayer> | undefined> {
    const image = await this.resolver
      .opener()({ type: 'file', path }, 'given')
      .catch(() => undefined);
    await image?.close();
    if (image?.kind !== 'block') return undefined;
    // The kernel refuses this for a device that is mounted, or part of another one.
    const device = await orExplain(`write to ${path}`, () => open(path, constants.O_RDONLY | constants.O_EXCL));
    await device.close();
    await this.use.nobodyOn(path);
    return { location: { type: 'block', path }, identity: image.identity, physical: image.size };
  }
}

/** A new overlay and what its header says. */
interface Overlay {
  image: NewImage;
  layer: Partial<ChainLayer>;
}

/** An image whose overlays are of the newer version and need no more than it has itself. */
const isPlain = ({ format, encryption, compat, features = [] }: ChainLayer): boolean =>
  (format === 'qcow2' || format === 'raw') &&
  encryption === undefined &&
  compat !== '0.10' &&
  !features.includes('extended_l2');

const keysOf = ({ chain }: ResolvedNeed): string[] =>
  chain.layers.slice(0, 1).flatMap(({ identity }) => (identity ? [identityKey(identity)] : []));

const noImage = ({ target, name }: ImageNeed): VirtError =>
  new VirtError('INVALID_ARG', { detail: `disk ${target}: what ${name} needs names no image by its absolute path` });
