/** What the bus tells about a domain: the summary that lists and events carry, statistics, jobs. */
import { z } from 'zod';
import { StateName } from './domain-state';
import { DriverName, HostName, Uuid } from './ids';
import { MigrationProgress } from './migration';

const KiB = z.number().int().nonnegative();

/** Why nobody vouches for a running guest, in libvirt's words. */
export const TaintType = z.enum(['custom-argv', 'custom-monitor', 'custom-hypervisor-feature', 'custom-device']);
export type TaintType = z.infer<typeof TaintType>;

export const DomainSummary = z
  .object({
    uuid: Uuid,
    name: z.string(),
    title: z.string().optional(),
    host: HostName.describe('the home host'),
    driver: DriverName,
    epoch: z.number().int().nonnegative().describe('fencing epoch: rises when the domain changes host'),
    revision: z.number().int().nonnegative().describe('rises by one with every event of the domain'),
    id: z.number().int().describe("libvirt's id of the running domain, -1 when inactive"),
    state: StateName,
    reason: z.string(),
    persistent: z.boolean(),
    updated: z.boolean().describe('the persistent definition differs from the running one'),
    autostart: z.boolean(),
    managedSave: z.boolean().describe('a managed save image exists'),
    tainted: z.array(TaintType).optional().describe('why nobody vouches for this run; absent when there is no reason'),
    memoryKiB: KiB.describe('current (balloon) memory, KiB'),
    maxMemoryKiB: KiB,
    vcpus: z.number().int().nonnegative(),
    maxVcpus: z.number().int().nonnegative(),
    osType: z.string(),
    arch: z.string(),
    machine: z.string().optional(),
    virtType: z.string().describe('domain type: kvm, qemu, lxc, …'),
    images: z.boolean().optional().describe('a disk of it has a medium, so that storage prepares a start'),
  })
  .describe('a domain at one revision');
export type DomainSummary = z.infer<typeof DomainSummary>;

const counter = z.number().nonnegative();
const traffic = z.object({ bytes: counter, packets: counter, errors: counter, drops: counter });
const requests = z.object({ requests: counter, bytes: counter, timeNs: counter });

/** Statistics in the grouping of virConnectGetAllDomainStats; a group that was not asked for is absent. */
export const DomainStats = z
  .object({
    uuid: Uuid,
    name: z.string(),
    state: z.object({ state: StateName, reason: z.string() }),
    cpu: z.object({ timeNs: counter, userNs: counter, systemNs: counter }).optional(),
    balloon: z
      .object({
        currentKiB: KiB,
        maximumKiB: KiB,
        rssKiB: KiB.optional(),
        swapInKiB: KiB.optional(),
        swapOutKiB: KiB.optional(),
        majorFaults: counter.optional(),
        minorFaults: counter.optional(),
        unusedKiB: KiB.optional(),
        availableKiB: KiB.optional(),
        usableKiB: KiB.optional(),
        lastUpdate: z.number().optional().describe('seconds since 1970 of the guest driver’s last report'),
      })
      .optional(),
    vcpu: z
      .object({
        current: z.number().int(),
        maximum: z.number().int(),
        vcpus: z.array(z.object({ vcpu: z.number().int(), timeNs: counter, state: z.string() })),
      })
      .optional(),
    net: z.array(z.object({ name: z.string(), alias: z.string(), rx: traffic, tx: traffic })).optional(),
    block: z
      .array(
        z.object({
          name: z.string().describe('target: vda, sda, …'),
          path: z.string().optional(),
          backingIndex: z.number().int().optional(),
          read: requests,
          write: requests,
          flush: z.object({ requests: counter, timeNs: counter }),
          allocation: counter.optional().describe('highest written offset, bytes'),
          capacity: counter.optional().describe('guest-visible size, bytes'),
          physical: counter.optional().describe('size on the host, bytes'),
        }),
      )
      .optional(),
  })
  .describe('statistics of one domain');
export type DomainStats = z.infer<typeof DomainStats>;

export const StatsGroup = z.enum(['state', 'cpu', 'balloon', 'vcpu', 'net', 'block']);
export type StatsGroup = z.infer<typeof StatsGroup>;

/** A long job on a domain, as virDomainGetJobStats tells it. Sizes in bytes. */
export const JobInfo = z
  .object({
    type: z.enum(['none', 'bounded', 'unbounded', 'completed', 'failed', 'cancelled']),
    operation: z.enum([
      'none',
      'start',
      'save',
      'restore',
      'migration-in',
      'migration-out',
      'snapshot',
      'dump',
      'backup',
    ]),
    commandId: z.string().optional(),
    elapsedMs: z.number().nonnegative(),
    total: z.number().nonnegative().optional(),
    processed: z.number().nonnegative().optional(),
    remaining: z.number().nonnegative().optional(),
    error: z.string().optional(),
    migration: MigrationProgress.optional().describe('of a migration: its memory and disks, passes and downtime'),
  })
  .describe('progress of a job');
export type JobInfo = z.infer<typeof JobInfo>;

/** How a guest is asked to shut down or reboot: the power button, its agent, init's control pipe, a signal to init. */
export const PowerMode = z.enum(['acpi', 'agent', 'initctl', 'signal']);
export type PowerMode = z.infer<typeof PowerMode>;

/** Which definition a change is for: libvirt's AFFECT flags. `current` is live when the domain runs, else config. */
export const Affect = z.enum(['current', 'live', 'config', 'both']);
export type Affect = z.infer<typeof Affect>;
