/** Storage pools of a host: what its storage service answers about them and does with them. */
import { z } from 'zod';
import { HostName, Uuid } from '../model';
import { contract } from './contract';

export const PoolState = z.enum(['inactive', 'running', 'inaccessible']).describe('state of a pool');

const size = z.number().int().min(0);

export const PoolSummary = z
  .object({
    name: z.string(),
    uuid: Uuid,
    type: z.string().describe('dir, fs, netfs, logical, disk, …'),
    host: HostName,
    state: PoolState,
    persistent: z.boolean(),
    autostart: z.boolean(),
    path: z.string().optional().describe('where its volumes are found'),
    capacity: size.describe('bytes; 0 while it does not run'),
    allocation: size.describe('bytes in use'),
    available: size.describe('bytes free'),
    volumes: z.number().int().describe('how many; 0 while it does not run'),
  })
  .describe('a storage pool');
export type PoolSummary = z.infer<typeof PoolSummary>;

export const poolRef = { pool: z.string().min(1).describe('name or uuid of the pool') };
const poolResponse = z.object({ pool: PoolSummary });

/** A document as XML or as the same in JSON. */
export const storageDocument = {
  xml: z.string().optional().describe("libvirt's XML"),
  document: z.record(z.string(), z.unknown()).optional().describe('or the same as JSON'),
};
export const documentErrors = ['XML_ERROR', 'XML_DETAIL', 'CONFIG_UNSUPPORTED', 'OVERFLOW'] as const;
const workErrors = [
  'POOL_NOT_FOUND',
  'OPERATION_INVALID',
  'OPERATION_FAILED',
  'OPERATION_UNSUPPORTED',
  'RESOURCE_BUSY',
  'SYSTEM_ERROR',
] as const;

const Build = z
  .enum(['no', 'new', 'overwrite'])
  .describe('make the storage first: not, only where there is nothing yet, or over what is there');

export const listPools = contract({
  kind: 'query',
  entity: 'pool',
  operation: 'list',
  servedBy: 'storage-service',
  request: z.object({
    active: z.boolean().optional(),
    persistent: z.boolean().optional(),
    autostart: z.boolean().optional(),
    types: z.array(z.string()).optional(),
  }),
  response: z.object({ pools: z.array(PoolSummary).describe('by name') }),
  errors: [],
  doc: 'Pools of one host. The subject names the host, as for all operations of storage.',
  example: { active: true },
});

export const getPool = contract({
  kind: 'query',
  entity: 'pool',
  operation: 'get',
  servedBy: 'storage-service',
  request: z.object(poolRef),
  response: poolResponse,
  errors: ['POOL_NOT_FOUND'],
  doc: 'One pool, by name or uuid.',
  example: { pool: 'default' },
});

export const getPoolXml = contract({
  kind: 'query',
  entity: 'pool',
  operation: 'xml',
  servedBy: 'storage-service',
  request: z.object({
    ...poolRef,
    inactive: z.boolean().default(false).describe('the definition, also when the pool runs'),
    format: z.enum(['xml', 'json']).default('xml'),
  }),
  response: z.object({ xml: z.string().optional(), document: z.unknown().optional() }),
  errors: ['POOL_NOT_FOUND'],
  doc: "The pool's document.",
  example: { pool: 'default' },
});

export const definePool = contract({
  kind: 'cmd',
  entity: 'pool',
  operation: 'define',
  servedBy: 'storage-service',
  timeoutMs: 120_000,
  request: z.object({ ...storageDocument, build: Build.default('no') }),
  response: poolResponse,
  errors: [...documentErrors, ...workErrors, 'POOL_EXISTS'],
  doc: 'Keep a definition: a new one, or another one of a pool with the same name and uuid. Answered once it is on disk.',
  example: { xml: "<pool type='dir'><name>default</name><target><path>/srv/images</path></target></pool>" },
});

export const createPool = contract({
  kind: 'cmd',
  entity: 'pool',
  operation: 'create',
  servedBy: 'storage-service',
  timeoutMs: 120_000,
  request: z.object({ ...storageDocument, build: Build.default('no') }),
  response: poolResponse,
  errors: [...documentErrors, ...workErrors, 'POOL_EXISTS'],
  doc: 'Start a transient pool: it is forgotten when it stops.',
  example: { xml: "<pool type='dir'><name>scratch</name><target><path>/srv/scratch</path></target></pool>" },
});

export const startPool = contract({
  kind: 'cmd',
  entity: 'pool',
  operation: 'start',
  servedBy: 'storage-service',
  timeoutMs: 120_000,
  request: z.object({ ...poolRef, build: Build.default('no') }),
  response: poolResponse,
  errors: workErrors,
  doc: 'Make a defined pool usable: mount or activate what it needs, and find its volumes.',
  example: { pool: 'default' },
});

export const stopPool = contract({
  kind: 'cmd',
  entity: 'pool',
  operation: 'stop',
  servedBy: 'storage-service',
  timeoutMs: 60_000,
  request: z.object(poolRef),
  response: poolResponse,
  errors: workErrors,
  doc: 'Unmount or deactivate it. Its volumes stay as they are; a transient pool is forgotten.',
  example: { pool: 'default' },
});

export const undefinePool = contract({
  kind: 'cmd',
  entity: 'pool',
  operation: 'undefine',
  servedBy: 'storage-service',
  request: z.object(poolRef),
  response: poolResponse,
  errors: workErrors,
  doc: 'Drop the definition of a pool that does not run. What it holds stays.',
  example: { pool: 'default' },
});

export const buildPool = contract({
  kind: 'cmd',
  entity: 'pool',
  operation: 'build',
  servedBy: 'storage-service',
  role: 'admin',
  timeoutMs: 600_000,
  request: z.object({ ...poolRef, overwrite: z.boolean().default(false).describe('also over what is there') }),
  response: poolResponse,
  errors: workErrors,
  doc: 'Make the storage itself: a folder, a file system, a volume group, a partition table.',
  example: { pool: 'default' },
});

export const deletePool = contract({
  kind: 'cmd',
  entity: 'pool',
  operation: 'delete',
  servedBy: 'storage-service',
  role: 'admin',
  timeoutMs: 120_000,
  request: z.object(poolRef),
  response: poolResponse,
  errors: workErrors,
  doc: 'Take the storage itself away: an empty folder, a volume group. The definition stays.',
  example: { pool: 'default' },
});

export const setPoolAutostart = contract({
  kind: 'cmd',
  entity: 'pool',
  operation: 'autostart',
  servedBy: 'storage-service',
  request: z.object({ ...poolRef, autostart: z.boolean() }),
  response: poolResponse,
  errors: workErrors,
  doc: 'Whether the pool starts with its host.',
  example: { pool: 'default', autostart: true },
});

export const refreshPool = contract({
  kind: 'cmd',
  entity: 'pool',
  operation: 'refresh',
  servedBy: 'storage-service',
  timeoutMs: 120_000,
  request: z.object(poolRef),
  response: poolResponse,
  errors: workErrors,
  doc: 'Look again at what the pool holds. Headers of images are read by us; no program ever opens an unknown one.',
  example: { pool: 'default' },
});
