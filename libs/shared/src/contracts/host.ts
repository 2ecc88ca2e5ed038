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
  response: z.object({
    hosts: z.array(
      HostStatus.extend({
        online: z.boolean(),
        cordoned: z.boolean().default(false).describe('no new domain is placed there'),
      }),
    ),
  }),
  errors: [],
  doc: 'Hosts with their drivers, memory, load and number of domains. One row a driver.',
  example: {},
});

export const forgetHost = contract({
  kind: 'cmd',
  entity: 'host',
  operation: 'forget',
  servedBy: 'domain-service',
  role: 'admin',
  queue: false,
  request: z.object({}),
  response: z.object({}),
  errors: ['HOST_NOT_FOUND', 'OPERATION_INVALID'],
  doc: 'List a host no more that is gone for good. Refused while a driver of it is online, or a domain lives there. One that comes back is listed again.',
  example: {},
});

const ofDriver = { driver: z.string().optional().describe('the driver of the host that can do most when left out') };
const formatted = { format: z.enum(['xml', 'json']).default('xml') };
const emulation = {
  virtType: z.string().optional().describe('domain type; the best that the host has when left out'),
  arch: z.string().optional(),
  machine: z.string().optional(),
  emulator: z.string().optional(),
};
/** Failures of a query that reads a document on a host. */
const aboutDocuments = ['HOST_NOT_FOUND', 'HOST_OFFLINE', 'XML_ERROR', 'XML_DETAIL', 'CONFIG_UNSUPPORTED'] as const;
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
    ...emulation,
  }),
  response: documentResponse,
  errors: ['HOST_NOT_FOUND', 'HOST_OFFLINE', 'INVALID_ARG'],
  doc: "What a domain can have there: libvirt's domain capabilities document.",
  example: { machine: 'q35' },
});

export const explainDomain = contract({
  kind: 'query',
  entity: 'host',
  operation: 'explain',
  servedBy: 'host',
  request: z.object({ ...ofDriver, xml: z.string().max(4_194_304).describe("libvirt's domain document") }),
  response: z.object({
    lines: z.array(
      z.object({
        path: z
          .string()
          .describe("the attribute or element, in the words of XPath; or a key of the hypervisor's own configuration"),
        value: z.string().optional().describe('as it is now; a new element whole; absent for what went'),
        was: z.string().optional().describe('what stood there before'),
        reason: z.string(),
      }),
    ),
    warnings: z.array(z.string()).describe('what was not understood in the document, a line each'),
  }),
  errors: [...aboutDocuments, 'UNSUPPORTED_BY_DRIVER', 'OS_TYPE'],
  doc: 'What this host would fill into a definition, and why: line by line, in the order it is done. Changes nothing.',
  example: { xml: '<domain type="qemu"><name>web1</name>…</domain>' },
});

const cpuDocument = z.string().max(4_194_304).describe('a <cpu>, <domain>, <capabilities> or <domainCapabilities>');

export const compareCpu = contract({
  kind: 'query',
  entity: 'host',
  operation: 'cpu-compare',
  servedBy: 'host',
  request: z.object({ ...ofDriver, ...emulation, xml: cpuDocument }),
  response: z.object({
    result: z.enum(['incompatible', 'identical', 'superset']).describe('superset: the host has more than is asked for'),
    missing: z.array(z.string()).describe('features that are asked for and not there'),
    unwanted: z.array(z.string()).describe('features that are there and must not be'),
    reason: z.string().optional().describe('what else keeps the host from giving this CPU'),
  }),
  errors: [...aboutDocuments, 'UNSUPPORTED_BY_DRIVER', 'OPERATION_UNSUPPORTED'],
  doc: 'Whether guests can have this CPU on the host. The first CPU of the document counts.',
  example: { xml: '<cpu><model>Nehalem</model></cpu>' },
});

export const baselineCpu = contract({
  kind: 'query',
  entity: 'host',
  operation: 'cpu-baseline',
  servedBy: 'host',
  request: z.object({
    ...ofDriver,
    ...emulation,
    documents: z.array(cpuDocument).min(1).max(1_000),
    features: z.boolean().default(false).describe("name each feature, also the model's own"),
    migratable: z.boolean().default(false).describe('leave out features that tie a guest to its host'),
    onHost: z.boolean().default(false).describe('leave out what this host cannot give either'),
  }),
  response: z.object({ xml: z.string().describe('a <cpu> element') }),
  errors: [...aboutDocuments, 'UNSUPPORTED_BY_DRIVER', 'OPERATION_UNSUPPORTED', 'OPERATION_FAILED'],
  doc: 'The richest CPU that all of the CPUs in these documents can stand in for.',
  example: { documents: ['<cpu><model>Nehalem</model></cpu>', '<cpu><model>Westmere</model></cpu>'] },
});
