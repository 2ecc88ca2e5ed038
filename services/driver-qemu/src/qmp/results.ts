/**
 * The shapes of QMP answers that are more than a line. Sizes are bytes, times as named in the field.
 */
import type { NamedNode } from '@virtbus/domain-xml';
import { type MigrationStatus } from './events';

/** QEMU's own run states; `running` is the only one in which guest CPUs execute. */
export type RunState =
  | 'debug'
  | 'inmigrate'
  | 'internal-error'
  | 'io-error'
  | 'paused'
  | 'postmigrate'
  | 'prelaunch'
  | 'finish-migrate'
  | 'restore-vm'
  | 'running'
  | 'save-vm'
  | 'shutdown'
  | 'suspended'
  | 'watchdog'
  | 'guest-panicked'
  | 'colo';

export interface VcpuInfo {
  'cpu-index': number;
  'qom-path': string;
  'thread-id': number;
  props?: CpuInstanceProps;
  target: string;
}

export interface CpuInstanceProps {
  'node-id'?: number;
  'socket-id'?: number;
  'die-id'?: number;
  'cluster-id'?: number;
  'core-id'?: number;
  'thread-id'?: number;
}

export interface HotpluggableCpu {
  type: string;
  'vcpus-count': number;
  props: CpuInstanceProps;
  /** Present when the CPU is plugged. */
  'qom-path'?: string;
}

export interface MemoryDevice {
  type: 'dimm' | 'nvdimm' | 'virtio-pmem' | 'virtio-mem' | 'sgx-epc' | 'hv-balloon';
  data: {
    id?: string;
    memaddr?: number;
    addr?: number;
    size: number;
    'requested-size'?: number;
    'block-size'?: number;
    slot?: number;
    node?: number;
    memdev: string;
    hotplugged?: boolean;
    hotpluggable?: boolean;
  };
}

/** A guest's drive, and the node that it stands on. */
export interface BlockDevice {
  device: string;
  /** The device's id, or the path of the part of it that does the work. */
  qdev?: string;
  'io-status'?: 'ok' | 'failed' | 'nospace';
  inserted?: { 'node-name'?: string };
}

/** Progress of a block job in bytes, its limit in bytes per second. */
export interface BlockJobInfo {
  /** The job's id. */
  device: string;
  type: string;
  status: string;
  offset: number;
  len: number;
  speed: number;
  ready: boolean;
}

export interface BlockStats {
  rd_bytes: number;
  wr_bytes: number;
  unmap_bytes?: number;
  rd_operations: number;
  wr_operations: number;
  flush_operations: number;
  unmap_operations?: number;
  rd_total_time_ns: number;
  wr_total_time_ns: number;
  flush_total_time_ns: number;
  unmap_total_time_ns?: number;
  wr_highest_offset: number;
}

export interface BlockStatsEntry {
  device?: string;
  qdev?: string;
  'node-name'?: string;
  stats: BlockStats;
  parent?: BlockStatsEntry;
  backing?: BlockStatsEntry;
}

export interface BlockNode {
  'node-name'?: string;
  drv: string;
  file: string;
  ro: boolean;
  write_threshold: number;
  /** Images below this one. */
  backing_file_depth: number;
  'dirty-bitmaps'?: NonNullable<NamedNode['dirty-bitmaps']>;
  image: {
    filename: string;
    format: string;
    'virtual-size': number;
    'actual-size'?: number;
    'cluster-size'?: number;
    snapshots?: { name: string }[];
    'format-specific'?: { type?: string; data?: unknown };
    'backing-filename'?: string;
    'backing-image'?: object;
  };
}

/** A job that runs, or has ended and was not dismissed; progress in bytes for block jobs. */
export interface JobInfo {
  id: string;
  type: string;
  status: string;
  'current-progress': number;
  'total-progress': number;
  /** Why it failed. */
  error?: string;
}

/** Times in milliseconds, `mbps` in megabits per second. */
export interface MigrationInfo {
  status?: MigrationStatus;
  ram?: {
    transferred: number;
    remaining: number;
    total: number;
    duplicate: number;
    normal: number;
    'normal-bytes': number;
    'dirty-pages-rate': number;
    'dirty-sync-count': number;
    'page-size': number;
    'postcopy-requests': number;
    mbps: number;
  };
  'total-time'?: number;
  'expected-downtime'?: number;
  downtime?: number;
  'setup-time'?: number;
  'blocked-reasons'?: string[];
  'error-desc'?: string;
  'cpu-throttle-percentage'?: number;
}
