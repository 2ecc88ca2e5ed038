/**
 * The truth about a disk: where each image lies, what it is, what it stands on, and how we know.
 *
 * A chain is stored, shown and handed to drivers as one document; index 0 is the active layer, 1..n the backing layers.
 */
import { z } from 'zod';

/** libvirt's names of image formats, and `vhdx`, which only QEMU has. LUKS is `raw` with encryption. */
export const ImageFormat = z.enum([
  'raw',
  'dir',
  'bochs',
  'cloop',
  'dmg',
  'iso',
  'vpc',
  'vdi',
  'fat',
  'vhd',
  'vhdx',
  'ploop',
  'cow',
  'qcow',
  'qcow2',
  'qed',
  'vmdk',
]);
export type ImageFormat = z.infer<typeof ImageFormat>;

export const StorageProtocol = z.enum([
  'nbd',
  'rbd',
  'sheepdog',
  'gluster',
  'iscsi',
  'http',
  'https',
  'ftp',
  'ftps',
  'tftp',
  'ssh',
  'vxhs',
  'nfs',
]);
export type StorageProtocol = z.infer<typeof StorageProtocol>;

const bytes = z.number().int().nonnegative();

export const StorageHost = z.discriminatedUnion('transport', [
  z.object({
    transport: z.enum(['tcp', 'rdma']),
    name: z.string(),
    port: z.number().int().min(0).max(65535).optional(),
  }),
  z.object({ transport: z.literal('unix'), socket: z.string() }),
]);
export type StorageHost = z.infer<typeof StorageHost>;

const slice = z.object({ offset: bytes, size: bytes }).describe('the part of the storage that is the image, bytes');

/** Where an image lies, without what it is. Paths are as they were written; nothing is normalised. */
export const Location = z
  .discriminatedUnion('type', [
    z.object({ type: z.literal('file'), path: z.string(), slice: slice.optional() }),
    z.object({ type: z.literal('block'), path: z.string(), slice: slice.optional() }),
    z.object({ type: z.literal('dir'), path: z.string() }),
    z.object({
      type: z.literal('network'),
      protocol: StorageProtocol,
      name: z.string().optional().describe('export, path, pool/image, iqn/LUN, volume/file: as the protocol has it'),
      hosts: z.array(StorageHost),
      query: z.string().optional().describe('of http and https'),
      snapshot: z.string().optional(),
      config: z.string().optional().describe('configuration file of an rbd client'),
      sslVerify: z.boolean().optional(),
      cookies: z.array(z.object({ name: z.string(), value: z.string() })).optional(),
      readahead: bytes.optional(),
      timeout: z.number().int().nonnegative().optional().describe('seconds'),
      reconnectDelay: z.number().int().nonnegative().optional().describe('seconds'),
      user: z.string().optional().describe('nfs: an id as +N; ssh: a name'),
      group: z.string().optional(),
      slice: slice.optional(),
    }),
    z.object({
      type: z.literal('nvme'),
      address: z.object({
        domain: z.number().int(),
        bus: z.number().int(),
        slot: z.number().int(),
        function: z.number().int(),
      }),
      namespace: z.number().int().min(1),
      managed: z.boolean().optional(),
    }),
    z.object({ type: z.literal('vhostuser'), socket: z.string() }),
    z.object({ type: z.literal('vhostvdpa'), path: z.string() }),
  ])
  .describe('where an image lies');
export type Location = z.infer<typeof Location>;

/** What makes two names the same image: the key of its leases and of the question who stands on it. */
export const ImageIdentity = z
  .discriminatedUnion('kind', [
    z.object({
      kind: z.literal('file').describe('on a file system that only this machine has'),
      machine: z.string(),
      dev: z.string().describe('major:minor'),
      ino: z.string(),
    }),
    z.object({
      kind: z.literal('shared-file').describe('on a network file system: the same from every machine'),
      source: z.string(),
      path: z.string().describe('from the root of the file system'),
    }),
    z.object({ kind: z.literal('device'), machine: z.string(), dev: z.string().describe('major:minor') }),
    z.object({ kind: z.literal('disk').describe('a block device with a world-wide name'), id: z.string() }),
    z.object({ kind: z.literal('network'), uri: z.string() }),
  ])
  .describe('what an image is, whatever its name');
export type ImageIdentity = z.infer<typeof ImageIdentity>;

/** `given` in the document; `recorded` in the overlay; `created` by us; `default`: not given, so raw; `probed`: policy `compatible`. */
export const FormatKnown = z.enum(['given', 'recorded', 'created', 'default', 'probed']);
export type FormatKnown = z.infer<typeof FormatKnown>;

export const ChainLayer = z
  .object({
    index: z.number().int().nonnegative().describe('0 is the active layer'),
    location: Location,
    format: ImageFormat,
    formatKnown: FormatKnown,
    capacity: bytes.optional().describe('bytes the guest sees, rounded above 2^53; absent where we cannot read'),
    physical: bytes.optional().describe('length of the file or device, bytes'),
    relPath: z.string().optional().describe('the name in the overlay, when it is relative'),
    identity: ImageIdentity.optional(),
    backing: z
      .object({ string: z.string(), format: z.string().optional().describe('absent: the header records none') })
      .optional()
      .describe('what the header records of the layer below'),
    dataFile: z
      .object({
        location: Location,
        relPath: z.string().optional(),
        identity: ImageIdentity.optional(),
        raw: z.boolean().describe('the data file is readable by itself'),
      })
      .optional(),
    encryption: z.enum(['luks', 'qcow']).optional(),
    clusterSize: bytes.optional(),
    compat: z.string().optional().describe('version of qcow2: 0.10 or 1.1'),
    features: z.array(z.string()).optional(),
    bitmaps: z
      .array(
        z.object({
          name: z.string(),
          granularity: bytes.describe('bytes that a bit stands for'),
          recording: z.boolean().describe('it goes on recording when the image is opened'),
          inUse: z.boolean().describe('something has the image open, or did not close it well'),
        }),
      )
      .optional()
      .describe('dirty bitmaps that the image keeps; while a guest writes to it, as they were when it was opened'),
  })
  .describe('one image of a chain');
export type ChainLayer = z.infer<typeof ChainLayer>;

export const ChainDocument = z
  .object({ version: z.literal(1), layers: z.array(ChainLayer).min(1) })
  .describe('a backing chain, active layer first; the last layer stands on nothing');
export type ChainDocument = z.infer<typeof ChainDocument>;
