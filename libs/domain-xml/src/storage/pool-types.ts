/** The types of pools: what their source consists of, which formats they and their volumes have. */

/** The parts of a `<source>` that a type of pool may have. */
export type SourcePart = 'hosts' | 'devices' | 'dir' | 'adapter' | 'name' | 'initiator' | 'protocol';

export interface PoolTypeInfo {
  readonly source: readonly SourcePart[];
  /** Formats of the pool itself, the default first; none when the type has no formats. */
  readonly formats: readonly string[];
  /** Reached over the network without a path on this host: such a pool has no `<target>`. */
  readonly network?: boolean;
  /** Formats of its volumes: of disk images, of partitions, or none (they are plain block devices). */
  readonly volumes: 'images' | 'partitions' | 'none';
}

const fileSystems = ['auto', 'ext2', 'ext3', 'ext4', 'ufs', 'iso9660', 'udf', 'gfs', 'gfs2', 'vfat', 'hfs+', 'xfs'];

export const poolTypes = {
  dir: { source: [], formats: [], volumes: 'images' },
  fs: { source: ['devices'], formats: [...fileSystems, 'ocfs2', 'vmfs'], volumes: 'images' },
  netfs: {
    source: ['hosts', 'dir', 'protocol'],
    formats: ['auto', 'nfs', 'glusterfs', 'cifs'],
    volumes: 'images',
  },
  logical: { source: ['name', 'devices'], formats: ['lvm2', 'unknown'], volumes: 'none' },
  disk: {
    source: ['devices'],
    formats: ['unknown', 'dos', 'dvh', 'gpt', 'mac', 'bsd', 'pc98', 'sun', 'lvm2'],
    volumes: 'partitions',
  },
  iscsi: { source: ['hosts', 'devices', 'initiator'], formats: [], volumes: 'partitions' },
  'iscsi-direct': { source: ['hosts', 'devices', 'initiator'], formats: [], network: true, volumes: 'none' },
  scsi: { source: ['adapter'], formats: [], volumes: 'partitions' },
  mpath: { source: [], formats: [], volumes: 'partitions' },
  rbd: { source: ['hosts', 'name'], formats: [], network: true, volumes: 'images' },
  sheepdog: { source: ['hosts', 'name'], formats: [], network: true, volumes: 'images' },
  gluster: { source: ['hosts', 'dir', 'name'], formats: [], network: true, volumes: 'images' },
  zfs: { source: ['devices', 'name'], formats: [], volumes: 'images' },
  vstorage: { source: ['name'], formats: [], volumes: 'images' },
} as const satisfies Record<string, PoolTypeInfo>;

export type PoolType = keyof typeof poolTypes;

export const poolTypeNames = Object.keys(poolTypes) as [PoolType, ...PoolType[]];

export const poolTypeInfo = (type: PoolType): PoolTypeInfo => poolTypes[type];

/** The types whose source has this part. */
export const typesWith = (part: SourcePart): PoolType[] =>
  poolTypeNames.filter((type) => poolTypeInfo(type).source.includes(part));

/** What partitions of a disk may be said to hold. */
export const partitionFormats = [
  'none',
  'linux',
  'fat16',
  'fat32',
  'linux-swap',
  'linux-lvm',
  'linux-raid',
  'extended',
] as const;
