/**
 * What our services ask a driver on its host, beside the domain operations that are passed on as they came
 * (`servedBy: 'home-host'`). Not for users: only the service role may publish `virtbus.v1.host.>`.
 */
import { z } from 'zod';
import { DomainStats, DomainSummary, Inventory, StatsGroup, Uuid } from '../model';
import { changed } from './domain-commands';
import { driverContract } from './driver-contract';
import { Prepared } from './storage';

const settled = {
  xml: z.string().describe('the document as it was given; the header names the domain, whose uuid it may leave out'),
  epoch: z.number().int().nonnegative(),
  validate: z.boolean().default(false),
  prepared: Prepared.optional(),
};

export const driverInventory = driverContract({
  operation: 'inventory',
  request: z.object({}),
  response: Inventory,
  timeoutMs: 5_000,
  doc: 'All that lives on the host.',
});

export const driverDefine = driverContract({
  operation: 'define',
  request: z.object(settled).omit({ prepared: true }),
  response: changed.extend({ warnings: z.array(z.string()) }),
  timeoutMs: 30_000,
  doc: 'Keep this definition; answered once it is on disk.',
});

export const driverCreate = driverContract({
  operation: 'create',
  request: z.object({ ...settled, paused: z.boolean() }),
  response: changed.extend({ warnings: z.array(z.string()) }),
  timeoutMs: 60_000,
  doc: 'Start this document as a transient domain.',
});

export const driverRename = driverContract({
  operation: 'rename',
  request: z.object({ name: z.string() }),
  response: changed,
  timeoutMs: 30_000,
  doc: 'Give an inactive domain another name; the caller holds the claim on the name.',
});

export const driverInspectSave = driverContract({
  operation: 'inspect-save',
  request: z.object({ path: z.string() }),
  response: z.object({ uuid: Uuid, name: z.string(), xml: z.string() }),
  timeoutMs: 10_000,
  doc: 'What a save image holds, so that its name can be claimed before it is restored.',
});

export const driverRestore = driverContract({
  operation: 'restore',
  request: z.object({
    path: z.string(),
    epoch: z.number().int().nonnegative(),
    xml: z.string().optional(),
    paused: z.boolean().optional(),
    prepared: Prepared.optional(),
  }),
  response: changed,
  timeoutMs: 600_000,
  doc: 'Bring the guest in a save image back.',
});

export const driverStats = driverContract({
  operation: 'stats-all',
  request: z.object({ groups: z.array(StatsGroup).optional(), domains: z.array(Uuid).optional() }),
  response: z.object({ stats: z.array(DomainStats) }),
  timeoutMs: 5_000,
  doc: 'Statistics of many domains of this host.',
});

export const driverAnswer = driverContract({
  operation: 'answer',
  request: z.object({ command: z.string().describe('its id') }),
  response: z.object({
    state: z.enum(['answered', 'pending', 'unknown']).describe('`unknown`: never heard of it, or died over it'),
    response: z.unknown().optional().describe('its first answer'),
    error: z
      .object({ code: z.string(), message: z.string(), details: z.record(z.string(), z.unknown()) })
      .optional()
      .describe('that it failed with'),
  }),
  timeoutMs: 5_000,
  doc: 'What became of a command to a domain of this host, without doing it: asked when the process that had it is gone.',
});

export const driverGet = driverContract({
  operation: 'get',
  request: z.object({}),
  response: z.object({ domain: DomainSummary }),
  timeoutMs: 5_000,
  doc: 'One domain as the host knows it.',
});
