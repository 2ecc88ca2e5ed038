/**
 * The shapes of QMP answers that are more than a line. Sizes are bytes, times as named in the field.
 */
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
  image: {
    filename: string;
    format: string;
    'virtual-size': number;
    'actual-size'?: number;
    'backing-filename'?: string;
    'backing-image'?: object;
  };
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
    mbps: number;
  };
  'total-time'?: number;
  'expected-downtime'?: number;
  downtime?: number;
  'setup-time'?: number;
  'blocked-reasons'?: string[];
  'error-desc'?: string;
}

export interface ObjectProperty {
  name: string;
  type: string;
  description?: string;
  'default-value'?: unknown;
}

export interface MachineType {
  name: string;
  alias?: string;
  'is-default'?: boolean;
  'cpu-max': number;
  'hotpluggable-cpus': boolean;
  'numa-mem-supported': boolean;
  deprecated: boolean;
  'default-cpu-type'?: string;
  'default-ram-id'?: string;
  /** Since 8.0. */
  acpi?: boolean;
}

export interface CpuModel {
  name: string;
  props?: Record<string, unknown>;
}

export interface CpuDefinition {
  name: string;
  typename: string;
  static: boolean;
  'migration-safe'?: boolean;
  'unavailable-features'?: string[];
  'alias-of'?: string;
  deprecated?: boolean;
}

export interface CommandLineOption {
  option: string;
  parameters: { name: string; type: string; help?: string; default?: string }[];
}

/** One type, command or event of `query-qmp-schema`. Names of types are opaque numbers. */
export interface SchemaEntry {
  name: string;
  'meta-type': 'builtin' | 'enum' | 'array' | 'object' | 'alternate' | 'command' | 'event';
  features?: string[];
  'arg-type'?: string;
  'ret-type'?: string;
  'element-type'?: string;
  'json-type'?: string;
  tag?: string;
  values?: string[];
  members?: { name?: string; type?: string; default?: unknown; features?: string[] }[];
  variants?: { case: string; type: string }[];
}
