/** Queries about hosts, answered by the domain service from heartbeats or passed on to the host. */
import { z } from 'zod';
import { HostStatus } from '../model';
import { contract } from './contract';

export const listHosts = contract({
  kind: 'query',
  entity: 'host',
  operation: 'list',
  on: 'all',
  servedBy: 'domain-service',
  request: z.object({}),
  response: z.object({ hosts: z.array(HostStatus.extend({ online: z.boolean() })) }),
  errors: [],
  doc: 'Hosts with their drivers, memory, load and number of domains. One row a driver.',
  example: {},
});

const ofDriver = { driver: z.string().optional().describe('the first driver of the host when left out') };
const formatted = { format: z.enum(['xml', 'json']).default('xml') };
const documentResponse = z.object({ xml: z.string().optional(), document: z.unknown().optional() });

export const hostCapabilities = contract({
  kind: 'query',
  entity: 'host',
  operation: 'capabilities',
  servedBy: 'host',
  request: z.object({ ...ofDriver, ...formatted }),
  response: documentResponse,
  errors: ['HOST_NOT_FOUND', 'HOST_OFFLINE'],
  doc: "What the host is and which guests it can run: libvirt's capabilities document.",
  example: {},
});

export const domainCapabilities = contract({
  kind: 'query',
  entity: 'host',
  operation: 'domain-capabilities',
  servedBy: 'host',
  request: z.object({
    ...ofDriver,
    ...formatted,
    virtType: z.string().optional(),
    arch: z.string().optional(),
    machine: z.string().optional(),
    emulator: z.string().optional(),
  }),
  response: documentResponse,
  errors: ['HOST_NOT_FOUND', 'HOST_OFFLINE', 'INVALID_ARG'],
  doc: "What a domain can have there: libvirt's domain capabilities document.",
  example: { machine: 'q35' },
});
