/**
 * From a disk of a domain to its chain: what the document gives is honoured, everything below is read from headers.
 * The rules themselves are `discoverChain`'s.
 */
import { discoverChain, localImages, resolveLocation, type ChainStart, type OpenImage } from '@virtbus/disk-image';
import { givenChain, parseDevice, type Disk } from '@virtbus/domain-xml';
import { isVirtError, VirtError, type ChainDocument } from '@virtbus/shared';
import type { StorageHost, VolumeDirectory } from '../host';

/** What the system says of a file, and pools of a volume, that cannot be had; OPERATION_INVALID: the pool does not run. */
const notThere: ReadonlySet<string> = new Set(['ENOENT', 'VOLUME_NOT_FOUND', 'POOL_NOT_FOUND', 'OPERATION_INVALID']);

export interface ResolvedDisk {
  /** Its target, or the name of the need that it is. */
  target: string;
  disk: Disk;
  /** Undefined for a drive without a medium. */
  chain: ChainDocument | undefined;
  /** Nothing is where its image should be, and its domain does without. */
  missing?: boolean;
  /** It is to be written to, whatever the document says. */
  writes?: boolean;
}

export class Resolver {
  constructor(
    private readonly host: Pick<StorageHost, 'policy' | 'machine'>,
    private readonly volumes: Pick<VolumeDirectory, 'find'>,
  ) {}

  /** Opens images of this machine; one for each search, so that it sees the file systems as they are mounted then. */
  opener(): OpenImage {
    return localImages({ machine: this.host.machine });
  }

  /**
   * Throws what keeps the disk from being used, in one line that names disk and image.
   * @param xml a `<disk>`
   * @param mayMiss targets of disks whose image need not be there
   */
  async disk(xml: string, mayMiss: readonly string[] = []): Promise<ResolvedDisk> {
    const device = parseDevice(xml);
    if (device.list !== 'disks')
      throw new VirtError('INVALID_ARG', { detail: `a <disk> is needed, not ${device.list}` });
    const disk = device.value;
    const target = disk.target.dev ?? '';
    try {
      const start = await this.startOf(disk);
      return { target, disk, chain: start && (await this.chain(start)) };
    } catch (error) {
      if (!mayMiss.includes(target) || !(await this.isMissing(disk))) throw error;
      return { target, disk, chain: undefined, missing: true };
    }
  }

  /** There is no such file, or its pool has no such volume or does not run. What lies below the image is not asked for. */
  private async isMissing(disk: Disk): Promise<boolean> {
    try {
      const start = await this.startOf(disk);
      const image = start && (await this.opener()(start.location, 'given'));
      await image?.close();
      return false;
    } catch (error) {
      const { cause } = error as Error & { cause?: { code?: string } };
      return cause?.code !== undefined && notThere.has(cause.code);
    }
  }

  /** The chain of an image; without a format the image is raw. */
  chain(start: ChainStart): Promise<ChainDocument> {
    return discoverChain(start, { policy: this.host.policy, open: this.opener() });
  }

  /** The first images of a chain that cannot be followed to its end: those that the document names. */
  async named(xml: string): Promise<ResolvedDisk> {
    const device = parseDevice(xml);
    if (device.list !== 'disks') return { target: '', disk: device.value as Disk, chain: undefined };
    const start = await this.startOf(device.value).catch(() => undefined);
    return { target: device.value.target.dev ?? '', disk: device.value, chain: start && (await this.broken(start)) };
  }

  /** What can be read of a chain that cannot be followed to its end, down to the layer that the last good header names. */
  async broken(start: ChainStart): Promise<ChainDocument | undefined> {
    const known = await this.chain({ ...start, ended: true }).catch(() => undefined);
    const last = known?.layers.at(-1);
    if (!known || !last?.backing) return known;
    const { location } = resolveLocation(last.backing.string, last.location);
    const below = [...(start.below ?? []), { location, format: 'raw' as const }];
    return this.chain({ ...start, below, ended: true }).catch(() => known);
  }

  private async startOf(disk: Disk): Promise<ChainStart | undefined> {
    if (disk.type !== 'volume') {
      const given = givenChain(disk);
      if (!given) return undefined;
      const [top, ...below] = given.images;
      return { ...top, below, ended: given.ended };
    }
    const { pool, volume } = disk.source ?? {};
    if (pool === undefined || volume === undefined) return undefined;
    try {
      const { location, format, created } = await this.volumes.find(pool, volume);
      return { location, format: disk.driver?.type ?? format, formatKnown: created ? 'created' : 'given' };
    } catch (error) {
      if (!isVirtError(error)) throw error;
      const detail = `disk ${disk.target.dev ?? ''} is volume '${volume}' of pool '${pool}': ${error.message}`;
      throw new VirtError('OPERATION_FAILED', { detail }, { cause: error });
    }
  }
}
