/**
 * Migrations as users ask for them: begin one, look at it, steer it, give it up. Served by the migration service; what it
 * asks the hosts is in `migration-host.ts`. Sizes are bytes, bandwidths bytes a second, times milliseconds.
 */
import { z } from 'zod';
import { DriverName, HostName, Migration, MigrationState } from '../model';
import { contract } from './contract';

const bandwidth = z.number().int().positive().describe('bytes a second');
const ms = z.number().int().positive().describe('milliseconds');

/** How a guest is moved: libvirt's migration flags and parameters, by what they mean. Both hosts get them as they are. */
export const MigrationOptions = z.object({
  live: z.boolean().default(false).describe('the guest runs on while its memory is sent; else it is paused first'),
  offline: z.boolean().default(false).describe('only the definition of an inactive domain moves'),
  paused: z.boolean().default(false).describe('leave the guest paused on the target'),
  unsafe: z.boolean().default(false).describe('go on where data may be lost: unshared files, caches of the host'),
  abortOnError: z.boolean().default(false).describe('give up when the guest stops on an I/O error'),
  storage: z
    .enum(['shared', 'full', 'top'])
    .default('shared')
    .describe('shared: the target reaches the same images; full: copy whole disks; top: copy the active layers only'),
  disks: z.array(z.string()).optional().describe('targets of the disks that are copied; all that can be when left out'),
  synchronousWrites: z.boolean().default(false).describe('a copied disk is written on both hosts at a time'),
  postcopy: z.boolean().default(false).describe('allow a switch to post-copy'),
  autoConverge: z
    .object({
      initial: z.number().int().min(1).max(99).optional(),
      increment: z.number().int().min(1).max(99).optional(),
    })
    .optional()
    .describe('slow the guest down until its memory can be sent; per cent'),
  parallel: z.number().int().min(1).max(255).optional().describe('connections for memory (multifd)'),
  compression: z
    .object({
      method: z.enum(['xbzrle', 'zlib', 'zstd']).describe('zlib and zstd need parallel connections'),
      level: z.number().int().min(0).max(20).optional(),
      cacheBytes: z.number().int().positive().optional().describe('of xbzrle'),
    })
    .optional(),
  bandwidth: bandwidth.optional().describe('bytes a second for memory; no limit when left out'),
  postcopyBandwidth: bandwidth.optional(),
  downtimeMs: ms.optional().describe('how long the guest may stand still at the switch; the hypervisor decides else'),
  name: z.string().optional().describe('name of the domain on the target'),
  xml: z.string().optional().describe('document for the target: the same hardware'),
  persistentXml: z.string().optional().describe('definition for the target'),
  uri: z.string().optional().describe('where the memory is sent: tcp:HOST[:PORT]; chosen by the target when left out'),
  listen: z.string().optional().describe('address that the target listens on'),
  disksPort: z.number().int().min(1).max(65_535).optional().describe('port for copied disks'),
  graphicsUri: z.string().optional().describe('where SPICE clients are sent: spice://HOST:PORT'),
  tls: z
    .object({ directory: z.string().startsWith('/').optional(), peer: z.string().optional() })
    .optional()
    .describe('encrypt what is sent; directory of certificates on both hosts, name that the target must prove'),
});
export type MigrationOptions = z.infer<typeof MigrationOptions>;

const place = {
  to: HostName.describe('the target host'),
  driver: DriverName.optional().describe('driver there; the one that the domain has now when left out'),
  ...MigrationOptions.shape,
};

const timeout = z
  .object({ afterMs: ms, action: z.enum(['suspend', 'postcopy', 'abort']) })
  .optional()
  .describe('what is done when the transfer takes longer');

const told = z.object({ migration: Migration });
const about = ['MIGRATION_NOT_FOUND', 'OPERATION_INVALID', 'HOST_OFFLINE'] as const;

/** Why a migration would be refused, or what its owner should know. */
export const MigrationReason = z.object({
  where: z.enum(['fleet', 'source', 'target']),
  code: z.string().describe('of the error table'),
  message: z.string(),
});
export type MigrationReason = z.infer<typeof MigrationReason>;

export const migrateDomain = contract({
  kind: 'cmd',
  entity: 'domain',
  operation: 'migrate',
  servedBy: 'migration-service',
  queue: false,
  timeoutMs: 3_600_000,
  request: z.object({
    ...place,
    timeout,
    wait: z.boolean().default(false).describe('answer when it has ended; else as soon as it is journaled'),
  }),
  response: told,
  errors: [
    ...['DOMAIN_NOT_FOUND', 'HOST_NOT_FOUND', 'HOST_OFFLINE', 'UNSUPPORTED_BY_DRIVER', 'DOMAIN_BUSY', 'DOMAIN_EXISTS'],
    ...['OPERATION_INVALID', 'OPERATION_FAILED', 'OPERATION_ABORTED', 'OPERATION_UNSUPPORTED', 'MIGRATE_UNSAFE'],
    ...['ARGUMENT_UNSUPPORTED', 'CONFIG_UNSUPPORTED', 'XML_ERROR', 'NO_SUITABLE_HOST', 'RESOURCE_BUSY'],
  ] as const,
  doc: 'Move a domain to another host. Everything that can be known is checked first; the id of the command is the id of the migration.',
  example: { to: 'h2', live: true },
});

export const checkMigration = contract({
  kind: 'query',
  entity: 'domain',
  operation: 'migrate-check',
  servedBy: 'migration-service',
  timeoutMs: 15_000,
  request: z.object({ ...place, timeout }),
  response: z.object({ reasons: z.array(MigrationReason).describe('none: it could begin now') }),
  errors: ['DOMAIN_NOT_FOUND'],
  doc: 'Every reason why a domain could not be moved now, all at once. Changes nothing.',
  example: { to: 'h2', live: true },
});

export const listMigrations = contract({
  kind: 'query',
  entity: 'migration',
  operation: 'list',
  on: 'all',
  servedBy: 'migration-service',
  request: z.object({ state: MigrationState.optional(), domain: z.string().optional().describe('uuid or name') }),
  response: z.object({ migrations: z.array(Migration).describe('the latest first') }),
  errors: [],
  doc: 'Migrations that run, and those that ended within the last day.',
  example: {},
});

export const showMigration = contract({
  kind: 'query',
  entity: 'migration',
  operation: 'show',
  servedBy: 'migration-service',
  request: z.object({}),
  response: told,
  errors: ['MIGRATION_NOT_FOUND'],
  doc: 'One migration with its progress. The subject names its id, or a domain: then the one under way, or else its latest.',
  example: {},
});

export const abortMigration = contract({
  kind: 'cmd',
  entity: 'migration',
  operation: 'abort',
  servedBy: 'migration-service',
  queue: false,
  request: z.object({
    targetIsOff: z
      .boolean()
      .default(false)
      .describe('you vouch that the target host is off and stays off until its guests were killed: it is not asked'),
  }),
  response: told,
  errors: [...about, 'OPERATION_ABORTED'],
  doc: 'Give a migration up: the guest goes on where it was. Refused once it runs on the target.',
  example: {},
});

export const setMigrationLimits = contract({
  kind: 'cmd',
  entity: 'migration',
  operation: 'set-limits',
  servedBy: 'migration-service',
  queue: false,
  request: z.object({
    bandwidth: bandwidth.optional(),
    postcopyBandwidth: bandwidth.optional(),
    downtimeMs: ms.optional(),
  }),
  response: told,
  errors: [...about, 'UNSUPPORTED_BY_DRIVER', 'ARGUMENT_UNSUPPORTED'],
  doc: 'Change how fast memory is sent and how long the guest may stand still, while the migration runs.',
  example: { bandwidth: 104_857_600 },
});

export const startPostcopy = contract({
  kind: 'cmd',
  entity: 'migration',
  operation: 'start-postcopy',
  servedBy: 'migration-service',
  queue: false,
  request: z.object({}),
  response: told,
  errors: [...about, 'UNSUPPORTED_BY_DRIVER', 'OPERATION_UNSUPPORTED'],
  doc: 'Switch to post-copy: the guest runs on the target at once and fetches the rest of its memory as it needs it.',
  example: {},
});
