/** What the registry's buckets hold: where each domain lives and which names are taken. State is not kept here. */
import { DriverName, HostName, LeaseHolder, MigrationEnd, Uuid, type DomainSummary } from '@virtbus/shared';
import { z } from 'zod';

/** Key: the uuid. */
export const DomainEntry = z.object({
  uuid: Uuid,
  name: z.string(),
  host: HostName,
  driver: DriverName,
  epoch: z.number().int().nonnegative(),
  pending: z
    .object({ commandId: z.string(), until: z.number().describe('milliseconds since 1970') })
    .optional()
    .describe('the host has not answered yet; after `until` it counts only if the host has the domain'),
  moving: z
    .object({
      id: z.string(),
      to: MigrationEnd,
      epoch: z.number().int().nonnegative(),
      name: z.string(),
      images: z.boolean().optional().describe('images were, or may have been, leased on the other host'),
    })
    .optional()
    .describe('the migration that an epoch and a name on another host are promised to'),
  highest: z.number().int().nonnegative().optional().describe('the highest epoch that was ever promised'),
  withdrawn: z
    .array(z.string())
    .optional()
    .describe('migrations that came to nothing: a claim of theirs may come late'),
});
export type DomainEntry = z.infer<typeof DomainEntry>;

/** Key: the name as a token (`encodeToken`). */
export const NameEntry = z.object({
  uuid: Uuid,
  until: z.number().describe('milliseconds since 1970; until then the claim holds without a domain behind it'),
});
export type NameEntry = z.infer<typeof NameEntry>;

/** Key: the host. Nothing new is placed there. */
export const Cordon = z.object({ cordoned: z.literal(true), since: z.number().describe('milliseconds since 1970') });
export type Cordon = z.infer<typeof Cordon>;

/** Key: the image's identity as a token, then `x`, or `s` and the domain's uuid for those who share it. */
export const FleetLease = z.object({
  identity: z.string(),
  path: z.string(),
  holder: LeaseHolder,
});
export type FleetLease = z.infer<typeof FleetLease>;

export function entryOf({ uuid, name, host, driver, epoch }: DomainSummary): DomainEntry {
  return { uuid, name, host, driver, epoch };
}

/** The entry of a domain that its host tells of anew: what is promised to a migration stays until the domain has moved. */
export function renewed({ epoch, moving, highest, withdrawn }: DomainEntry, summary: DomainSummary): DomainEntry {
  return {
    ...entryOf(summary),
    ...(moving && summary.epoch === epoch && { moving }),
    ...(highest !== undefined && { highest }),
    ...(withdrawn && { withdrawn }),
  };
}

/** What is told of a domain of which nothing but its entry is known. Any word of its host replaces it. */
export function placeholder({ uuid, name, host, driver, epoch }: DomainEntry): DomainSummary {
  return {
    uuid,
    name,
    host,
    driver,
    epoch,
    revision: 0,
    id: -1,
    state: 'nostate',
    reason: 'unknown',
    persistent: true,
    updated: false,
    autostart: false,
    managedSave: false,
    memoryKiB: 0,
    maxMemoryKiB: 0,
    vcpus: 0,
    maxVcpus: 0,
    osType: 'unknown',
    arch: 'unknown',
    virtType: 'unknown',
  };
}
