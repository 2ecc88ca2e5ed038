/**
 * Backing chains of a host's images: what they are, whether they still are what we know, who stands on them, and the
 * repair of what keeps guests from starting. The subject names the host.
 */
import { z } from 'zod';
import { ChainDocument, HostName, ImageFormat, Uuid } from '../model';
import { contract } from './contract';
import { imageErrors } from './domain-commands';

const image = z.string().startsWith('/').describe('path of an image on the host');

/** Which chains: those of a domain, or the one of an image. */
const which = {
  domain: Uuid.optional(),
  disks: z.array(z.string()).optional().describe("the domain's disks as its document has them, each a <disk>"),
  image: image.optional(),
  format: ImageFormat.optional().describe('of the image; told by its header when left out, only to be shown'),
};
const chainErrors = [
  ...imageErrors,
  'OPERATION_FAILED',
  'CONFIG_UNSUPPORTED',
  'SYSTEM_ERROR',
  'XML_ERROR',
  'XML_DETAIL',
] as const;

export const showChain = contract({
  kind: 'query',
  entity: 'chain',
  operation: 'show',
  servedBy: 'storage-service',
  timeoutMs: 15_000,
  request: z.object(which),
  response: z.object({
    chains: z.array(
      z.object({
        target: z.string().optional().describe('the disk'),
        running: z.boolean().describe('as the running guest has it; else as a start would find it now'),
        chain: ChainDocument.optional(),
        fault: z.string().optional().describe('why it would not start'),
      }),
    ),
  }),
  errors: chainErrors,
  doc: 'The chain of every disk of a domain, or of one image: format and place of each layer, and how we know.',
  example: { image: '/var/lib/virtbus/images/web1.qcow2', format: 'qcow2' },
});

export const verifyChain = contract({
  kind: 'query',
  entity: 'chain',
  operation: 'verify',
  servedBy: 'storage-service',
  timeoutMs: 15_000,
  request: z.object({ domain: Uuid }),
  response: z.object({
    disks: z.array(
      z.object({
        target: z.string(),
        layers: z.number().int().describe('layers that are known'),
        differences: z.array(
          z.object({ layer: z.number().int(), path: z.string(), what: z.string().describe('in words, was and is') }),
        ),
      }),
    ),
  }),
  errors: ['OPERATION_INVALID', ...chainErrors],
  doc: 'Read the images of a running domain again and compare them with the chains that it was started on.',
  example: { domain: '5f9b6c1e-0d0a-4c7e-8a55-0f0b6c1e2d3a' },
});

export const repairChain = contract({
  kind: 'cmd',
  entity: 'chain',
  operation: 'repair',
  servedBy: 'storage-service',
  request: z.object({
    overlay: image,
    format: ImageFormat.optional().describe('of the image below; needed unless it is known otherwise'),
    base: z.string().min(1).optional().describe('another name for the image below; as it is recorded when left out'),
  }),
  response: z.object({
    overlay: z.string(),
    base: z.string(),
    format: ImageFormat,
    known: z.enum(['stated', 'created', 'recorded']).describe('by whom the format is known'),
    changed: z.boolean().describe('false: it was recorded so already'),
  }),
  errors: ['OPERATION_INVALID', 'OPERATION_UNSUPPORTED', ...chainErrors],
  doc: 'Write the format of its backing image into an overlay that records none. Nothing is guessed, and no image in use is touched.',
  example: { overlay: '/var/lib/virtbus/images/web1.qcow2', format: 'qcow2' },
});

export const auditChains = contract({
  kind: 'query',
  entity: 'chain',
  operation: 'audit',
  servedBy: 'storage-service',
  timeoutMs: 60_000,
  request: z.object({}),
  response: z.object({
    checked: z.number().int().describe('disks and volumes that were looked at'),
    faults: z.array(
      z.object({
        what: z.string().describe("a domain's disk, or a volume"),
        domain: Uuid.optional(),
        path: z.string().optional(),
        reason: z.string(),
        repair: z.string().optional().describe('the command that mends it'),
      }),
    ),
  }),
  errors: [],
  doc: 'Every disk of a domain of this host, and every volume of its active pools, that no guest could start on.',
  example: {},
});

export const ImageUser = z.object({
  kind: z.enum(['domain', 'volume']),
  name: z.string().describe('of the domain; pool/volume'),
  host: HostName,
  domain: Uuid.optional(),
  target: z.string().optional().describe('the disk of the domain'),
  layer: z.number().int().describe('0: it is the image itself; n: the n-th image below'),
  running: z.boolean().describe('a guest has it open'),
});
export type ImageUser = z.infer<typeof ImageUser>;

export const usersOfImage = contract({
  kind: 'query',
  entity: 'chain',
  operation: 'users',
  servedBy: 'storage-service',
  timeoutMs: 30_000,
  request: z.object({ image }),
  response: z.object({ users: z.array(ImageUser) }),
  errors: chainErrors,
  doc: 'Every domain of this host and every volume of its active pools that stands on an image.',
  example: { image: '/var/lib/virtbus/images/golden.qcow2' },
});
