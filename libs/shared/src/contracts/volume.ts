/** Volumes of the pools of a host. A volume is named in its pool, or by its path or key alone. */
import { z } from 'zod';
import { HostName } from '../model';
import { contract } from './contract';
import { documentErrors, storageDocument } from './pool';

const size = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);

export const VolumeSummary = z
  .object({
    name: z.string(),
    pool: z.string(),
    host: HostName,
    key: z.string(),
    path: z.string(),
    type: z.enum(['file', 'block', 'dir']),
    format: z.string().optional().describe('as its header tells: raw, qcow2, …; block devices have none'),
    capacity: size.describe('bytes that a guest sees'),
    allocation: size.describe('bytes taken on the disk'),
    backing: z
      .object({ path: z.string(), format: z.string().optional() })
      .optional()
      .describe('the image it stands on'),
    encrypted: z.boolean(),
    fault: z.string().optional().describe('why its header cannot be believed; such an image is used by nobody'),
  })
  .describe('a storage volume');
export type VolumeSummary = z.infer<typeof VolumeSummary>;

const volumeRef = {
  pool: z.string().min(1).optional().describe('name or uuid of its pool; left out, `volume` is a path or key'),
  volume: z.string().min(1).describe('name, path or key of the volume'),
};
const secret = z.string().min(1).max(4_096);
const secrets = {
  secret: secret.optional().describe('passphrase of an encrypted volume'),
  sourceSecret: secret.optional().describe('passphrase of the encrypted source'),
};
const volumeResponse = z.object({ volume: VolumeSummary });
const findErrors = ['POOL_NOT_FOUND', 'VOLUME_NOT_FOUND', 'OPERATION_INVALID'] as const;
const workErrors = [
  ...findErrors,
  'OPERATION_FAILED',
  'OPERATION_UNSUPPORTED',
  'RESOURCE_BUSY',
  'IMAGE_IN_USE',
  'SYSTEM_ERROR',
  'CONFIG_UNSUPPORTED',
] as const;
/** As long as a host may take for an answer, milliseconds. */
const copyMs = 1_200_000;

export const listVolumes = contract({
  kind: 'query',
  entity: 'volume',
  operation: 'list',
  servedBy: 'storage-service',
  request: z.object({ pool: z.string().min(1).describe('name or uuid of the pool') }),
  response: z.object({ volumes: z.array(VolumeSummary).describe('by name') }),
  errors: ['POOL_NOT_FOUND', 'OPERATION_INVALID'],
  doc: 'Volumes of a pool that runs, as they were found when it was last refreshed.',
  example: { pool: 'default' },
});

export const getVolume = contract({
  kind: 'query',
  entity: 'volume',
  operation: 'get',
  servedBy: 'storage-service',
  request: z.object(volumeRef),
  response: volumeResponse,
  errors: findErrors,
  doc: 'One volume, read again now: by its name in a pool, or by path or key.',
  example: { pool: 'default', volume: 'web1.qcow2' },
});

export const getVolumeXml = contract({
  kind: 'query',
  entity: 'volume',
  operation: 'xml',
  servedBy: 'storage-service',
  request: z.object({ ...volumeRef, format: z.enum(['xml', 'json']).default('xml') }),
  response: z.object({ xml: z.string().optional(), document: z.unknown().optional() }),
  errors: findErrors,
  doc: "The volume's document.",
  example: { pool: 'default', volume: 'web1.qcow2' },
});

export const createVolume = contract({
  kind: 'cmd',
  entity: 'volume',
  operation: 'create',
  servedBy: 'storage-service',
  timeoutMs: 600_000,
  request: z.object({
    pool: z.string().min(1),
    ...storageDocument,
    preallocate: z.boolean().default(false).describe('take space for the tables of the image, and its allocation, now'),
    secret: secrets.secret,
  }),
  response: volumeResponse,
  errors: [...documentErrors, ...workErrors, 'VOLUME_EXISTS'],
  doc: 'Make an empty volume. It appears whole or not at all.',
  example: {
    pool: 'default',
    xml: "<volume><name>web1.qcow2</name><capacity unit='GiB'>10</capacity><target><format type='qcow2'/></target></volume>",
  },
});

export const createVolumeFrom = contract({
  kind: 'cmd',
  entity: 'volume',
  operation: 'create-from',
  servedBy: 'storage-service',
  timeoutMs: copyMs,
  request: z.object({
    pool: z.string().min(1),
    ...storageDocument,
    source: z.object(volumeRef),
    preallocate: z.boolean().default(false),
    ...secrets,
  }),
  response: volumeResponse,
  errors: [...documentErrors, ...workErrors, 'VOLUME_EXISTS'],
  doc: 'Make a volume with the content of another one, in whatever format is asked for. It stands on nothing.',
  example: {
    pool: 'default',
    source: { pool: 'default', volume: 'golden.qcow2' },
    xml: "<volume><name>web2.raw</name><target><format type='raw'/></target></volume>",
  },
});

export const cloneVolume = contract({
  kind: 'cmd',
  entity: 'volume',
  operation: 'clone',
  servedBy: 'storage-service',
  timeoutMs: copyMs,
  request: z.object({
    ...volumeRef,
    name: z.string().min(1).describe('of the new volume, in the same pool'),
    preallocate: z.boolean().default(false),
    ...secrets,
  }),
  response: volumeResponse,
  errors: [...workErrors, 'VOLUME_EXISTS'],
  doc: 'A volume like this one, with the same content and format. It stands on nothing, even when this one does.',
  example: { pool: 'default', volume: 'golden.qcow2', name: 'web2.qcow2' },
});

export const resizeVolume = contract({
  kind: 'cmd',
  entity: 'volume',
  operation: 'resize',
  servedBy: 'storage-service',
  timeoutMs: 120_000,
  request: z.object({
    ...volumeRef,
    capacity: size.describe('bytes'),
    delta: z.boolean().default(false).describe('`capacity` is added to what it has, or taken away with `shrink`'),
    shrink: z.boolean().default(false).describe('it may become smaller; what is beyond is lost'),
    allocate: z.boolean().default(false).describe('take the new space now'),
  }),
  response: volumeResponse,
  errors: workErrors,
  doc: 'Change the capacity. Refused while anything stands on the image or uses it.',
  example: { pool: 'default', volume: 'web1.qcow2', capacity: 21_474_836_480 },
});

export const wipeVolume = contract({
  kind: 'cmd',
  entity: 'volume',
  operation: 'wipe',
  servedBy: 'storage-service',
  timeoutMs: copyMs,
  request: z.object({ ...volumeRef, algorithm: z.enum(['zero', 'random', 'trim']).default('zero') }),
  response: volumeResponse,
  errors: workErrors,
  doc: 'Overwrite every byte of the volume, header and all. What is left is raw.',
  example: { pool: 'default', volume: 'web1.qcow2' },
});

export const deleteVolume = contract({
  kind: 'cmd',
  entity: 'volume',
  operation: 'delete',
  servedBy: 'storage-service',
  request: z.object(volumeRef),
  response: volumeResponse,
  errors: workErrors,
  doc: 'Take the volume away. Refused, with the list of users, while anything stands on it or uses it.',
  example: { pool: 'default', volume: 'web1.qcow2' },
});

const stream = {
  ...volumeRef,
  session: z
    .string()
    .regex(/^[A-Za-z0-9_-]{8,64}$/)
    .describe('chosen by the client: names the byte stream'),
  offset: size.default(0).describe('first byte'),
  length: size.default(0).describe('bytes; 0 is up to the end'),
  sparse: z.boolean().default(false).describe('holes are sent as holes'),
};

export const uploadVolume = contract({
  kind: 'cmd',
  entity: 'volume',
  operation: 'upload',
  servedBy: 'storage-service',
  request: z.object(stream),
  response: z.object({ host: HostName, input: z.string().describe('subject that the bytes are sent to') }),
  errors: workErrors,
  doc: 'Fill a volume from a byte stream of records (docs/how-to/storage.md). It has its old content until the stream has ended well, and the new one after.',
  example: { pool: 'default', volume: 'web1.qcow2', session: 'a1b2c3d4e5' },
});

export const downloadVolume = contract({
  kind: 'cmd',
  entity: 'volume',
  operation: 'download',
  servedBy: 'storage-service',
  request: z.object(stream),
  response: z.object({
    host: HostName,
    input: z.string(),
    length: size.describe('bytes that will come, holes included'),
  }),
  errors: workErrors,
  doc: 'The bytes of a volume as a stream of records.',
  example: { pool: 'default', volume: 'web1.qcow2', session: 'a1b2c3d4e5' },
});
