import * as backups from './backup';
import * as blockJobs from './block-jobs';
import * as chains from './chain';
import * as checkpoints from './checkpoint';
import * as commands from './domain-commands';
import * as devices from './domain-devices';
import * as disks from './domain-disks';
import * as queries from './domain-queries';
import * as tuning from './domain-tuning';
import * as drains from './drain';
import * as hosts from './host';
import * as leases from './lease';
import * as migrations from './migration';
import * as pools from './pool';
import * as snapshots from './snapshot';
import * as verification from './verify';
import * as volumes from './volume';
import * as native from './native';
import type { Contract } from './contract';

export * from './backup';
export * from './block-jobs';
export * from './chain';
export * from './checkpoint';
export * from './contract';
export * from './domain-commands';
export * from './domain-devices';
export * from './domain-disks';
export * from './domain-queries';
export * from './domain-tuning';
export * from './driver';
export * from './driver-contract';
export * from './drain';
export * from './host';
export * from './lease';
export * from './migration';
export * from './migration-host';
export * from './native';
export * from './pool';
export * from './snapshot';
export * from './storage';
export * from './subjects';
export * from './verify';
export * from './volume';

const isContract = (value: unknown): value is Contract =>
  typeof value === 'object' && value !== null && 'operation' in value && 'servedBy' in value;

/** Every public operation, by name. */
export const contracts: readonly Contract[] = [
  backups,
  blockJobs,
  checkpoints,
  queries,
  commands,
  devices,
  disks,
  tuning,
  hosts,
  drains,
  chains,
  leases,
  migrations,
  native,
  pools,
  snapshots,
  verification,
  volumes,
]
  .flatMap((module) => Object.values(module).filter(isContract))
  .sort((a, b) => a.name.localeCompare(b.name));
