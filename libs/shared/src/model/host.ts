/** What a host tells of itself. */
import { z } from 'zod';
import { DomainSummary } from './domain';
import { DriverName, HostName, Labels, Uuid } from './ids';

/** The heartbeat of one driver on one host, published about every two seconds on `stat.host.<host>`; never stored. */
export const HostStatus = z
  .object({
    host: HostName,
    hostUuid: Uuid,
    driver: DriverName,
    virtTypes: z.array(z.string()).describe('domain types it can run, best first'),
    arches: z.array(z.string()),
    nativeFormats: z.array(z.string()).default([]).describe('configurations that it reads and writes: qemu-argv, …'),
    facets: z.array(z.string()).default([]).describe('what of the optional parts of a driver this one has'),
    labels: Labels,
    version: z.string().describe('version of the driver service'),
    hypervisorVersion: z.string(),
    startedAt: z.iso.datetime().describe('when the driver service started'),
    time: z.iso.datetime(),
    cpus: z.number().int(),
    load: z.array(z.number()).describe('1, 5 and 15 minute load average'),
    memoryKiB: z.number(),
    freeMemoryKiB: z.number().describe('memory that a new guest can have'),
    domains: z.number().int().describe('domains that live here'),
    active: z.number().int().describe('of these running'),
    migrations: z.number().int().positive().optional().describe('that have not ended here; absent for none'),
    inventory: z.number().int().describe('rises with each change of the inventory; a jump tells a reader to fetch it'),
    journal: z.number().int().describe('events on disk that the bus has not acknowledged'),
  })
  .describe('state of a host');
export type HostStatus = z.infer<typeof HostStatus>;

/** All domains that live on a host, and those that have left it, each with the revision it left at. */
export const Inventory = z
  .object({
    status: HostStatus,
    domains: z.array(DomainSummary),
    gone: z.array(z.object({ uuid: Uuid, epoch: z.number().int(), revision: z.number().int() })),
    awaited: z
      .array(z.object({ uuid: Uuid, id: z.string().describe('of the command that starts it') }))
      .default([])
      .describe('domains that start with their host, once storage has told what their disks stand on'),
  })
  .describe('what lives on a host');
export type Inventory = z.infer<typeof Inventory>;
