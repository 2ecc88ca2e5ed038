/** Which types of pools this service can start; the others are known, defined and shown. */
import type { Pool, PoolType } from '@virtbus/domain-xml/storage';
import { VirtError } from '@virtbus/shared';
import type { Backend } from './backend';
import { directory } from './directory';
import { disk } from './disk';
import { logical } from './logical';
import { mounted } from './mounted';

const backends: Partial<Record<PoolType, Backend>> = { dir: directory, fs: mounted, netfs: mounted, logical, disk };

/** Throws OPERATION_UNSUPPORTED for a type that nobody here can run. */
export function backendOf({ name, type }: Pick<Pool, 'name' | 'type'>): Backend {
  const backend = backends[type];
  if (backend) return backend;
  throw new VirtError('OPERATION_UNSUPPORTED', {
    detail: `pool '${name}': pools of type ${type} are not supported yet on this host; ${Object.keys(backends).join(', ')} are`,
  });
}

export type { Backend, Contents, FoundVolume, Knowledge, Space } from './backend';
