/**
 * Backups of a running guest: a copy of its disks as they were at one moment, whole or since a checkpoint. A push writes it to
 * images; a pull offers it over NBD until the job is aborted. The command is answered when the job has begun; `job` tells how
 * far it is, an event `job` how it ended.
 */
import { z } from 'zod';
import { contract } from './contract';
import { changed, imageErrors } from './domain-commands';

export const beginBackup = contract({
  kind: 'cmd',
  entity: 'domain',
  operation: 'backup-begin',
  timeoutMs: 120_000,
  plansImages: true,
  request: z.object({
    xml: z
      .string()
      .default('<domainbackup/>')
      .describe(
        "libvirt's <domainbackup>; what it leaves out is filled in: a full push of all disks that can be written",
      ),
    checkpoint: z
      .string()
      .optional()
      .describe("libvirt's <domaincheckpoint>: one that is made at the same moment, to begin the next backup from"),
    reuseExternal: z
      .boolean()
      .default(false)
      .describe('the images that are written to are there already, as they have to be'),
  }),
  response: changed,
  errors: [
    ...imageErrors,
    'OPERATION_INVALID',
    'OPERATION_FAILED',
    'OPERATION_UNSUPPORTED',
    'BLOCK_COPY_ACTIVE',
    'CONFIG_UNSUPPORTED',
    'NO_DOMAIN_CHECKPOINT',
    'CHECKPOINT_INCONSISTENT',
    'XML_ERROR',
    'XML_DETAIL',
    'XML_INVALID_SCHEMA',
    'SYSTEM_ERROR',
    'RESOURCE_BUSY',
  ],
  doc: 'Begin to back up the disks of a running guest. One backup of a domain at a time; `job-abort` ends it.',
  example: {
    xml: "<domainbackup><disks><disk name='vda'><target file='/srv/backup/web1.qcow2'/></disk></disks></domainbackup>",
    checkpoint: '<domaincheckpoint><name>monday</name></domaincheckpoint>',
  },
});

export const getBackupXml = contract({
  kind: 'query',
  entity: 'domain',
  operation: 'backup-dumpxml',
  request: z.object({}),
  response: z.object({ xml: z.string() }),
  errors: ['NO_DOMAIN_BACKUP'],
  doc: "The document of the backup that runs: libvirt's <domainbackup> with all that was filled in.",
  example: {},
});
