/** Queries about domains: they change nothing, and a reader may ask them. */
import { z } from 'zod';
import { Affect, DomainStats, DomainSummary, JobInfo, StateName, StatsGroup } from '../model';
import { contract } from './contract';

export const listDomains = contract({
  kind: 'query',
  entity: 'domain',
  operation: 'list',
  on: 'all',
  servedBy: 'domain-service',
  request: z.object({
    states: z.array(StateName).optional(),
    active: z.boolean().optional(),
    persistent: z.boolean().optional(),
    autostart: z.boolean().optional(),
    managedSave: z.boolean().optional(),
    host: z.string().optional(),
    driver: z.string().optional(),
    name: z.string().optional().describe('a name, or a pattern with * and ?'),
    limit: z.number().int().min(1).max(10_000).default(1_000),
    after: z.string().optional().describe('`next` of the page before'),
  }),
  response: z.object({
    domains: z.array(DomainSummary).describe('by name'),
    next: z.string().optional().describe('there are more: ask again with this as `after`'),
    total: z.number().int().describe('how many match, over all pages'),
    asOf: z.number().int().describe('sequence in the events stream that this answer includes; tail from the next one'),
    offline: z
      .array(z.string())
      .describe('hosts that do not answer now: what is told of their domains is the last known'),
  }),
  errors: [],
  doc: 'Domains of the fleet, filtered and paged. Subscribing to events from `asOf` + 1 misses nothing; an event whose revision the list has already is no news.',
  example: { active: true },
});

export const getDomain = contract({
  kind: 'query',
  entity: 'domain',
  operation: 'get',
  servedBy: 'domain-service',
  request: z.object({}),
  response: z.object({
    domain: DomainSummary,
    asOf: z.number().int(),
    online: z.boolean().describe('its host answers'),
  }),
  errors: ['DOMAIN_NOT_FOUND'],
  doc: 'One domain, by uuid or name.',
  example: {},
});

const xmlRequest = z.object({
  inactive: z.boolean().default(false).describe('the persistent definition, also when the domain runs'),
  migratable: z.boolean().default(false),
  format: z.enum(['xml', 'json']).default('xml'),
});
const xmlResponse = z.object({ xml: z.string().optional(), document: z.unknown().optional() });

export const getDomainXml = contract({
  kind: 'query',
  entity: 'domain',
  operation: 'xml',
  request: xmlRequest,
  response: xmlResponse,
  errors: [],
  doc: "The domain's document, live or inactive, without secrets.",
  example: { inactive: true },
});

export const getDomainXmlWithSecrets = contract({
  kind: 'cmd',
  entity: 'domain',
  operation: 'xml-with-secrets',
  timeoutMs: 5_000,
  queue: false,
  request: xmlRequest,
  response: xmlResponse,
  errors: [],
  doc: "The domain's document with its secrets (passwords of graphics, …). A command, so that a reader cannot ask for it.",
  example: {},
});

const statsRequest = z.object({ groups: z.array(StatsGroup).optional().describe('all when left out') });

export const statsOfDomain = contract({
  kind: 'query',
  entity: 'domain',
  operation: 'stats',
  request: statsRequest,
  response: z.object({ stats: DomainStats }),
  errors: [],
  doc: 'Statistics of one domain. A domain that is busy or whose guest hangs answers with what is known without it.',
  example: { groups: ['cpu', 'block'] },
});

export const statsOfDomains = contract({
  kind: 'query',
  entity: 'domain',
  operation: 'stats-all',
  on: 'all',
  servedBy: 'domain-service',
  request: statsRequest.extend({
    host: z.string().optional(),
    domains: z.array(z.string()).optional().describe('uuids or names; all active ones when left out'),
  }),
  response: z.object({
    stats: z.array(DomainStats),
    missing: z.array(z.object({ host: z.string(), reason: z.string() })).describe('hosts that did not answer in time'),
  }),
  errors: ['DOMAIN_NOT_FOUND'],
  doc: 'Statistics of many domains at once; every host is asked in parallel.',
  example: { groups: ['cpu'] },
});

export const getJob = contract({
  kind: 'query',
  entity: 'domain',
  operation: 'job',
  request: z.object({ completed: z.boolean().default(false).describe('the last job that ended') }),
  response: z.object({ job: JobInfo }),
  errors: [],
  doc: 'Progress of the job that runs on a domain.',
  example: {},
});

export const screenshot = contract({
  kind: 'query',
  entity: 'domain',
  operation: 'screenshot',
  timeoutMs: 10_000,
  request: z.object({ screen: z.number().int().min(0).default(0) }),
  response: z.object({ mime: z.string(), data: z.string().describe('base64') }),
  errors: ['OPERATION_INVALID', 'OPERATION_FAILED', 'OPERATION_UNSUPPORTED'],
  doc: "A picture of the guest's screen.",
  example: {},
});

export const getMetadata = contract({
  kind: 'query',
  entity: 'domain',
  operation: 'metadata',
  request: z.object({
    type: z.enum(['title', 'description', 'element']),
    uri: z.string().optional().describe('namespace of the element'),
    affect: Affect.default('current'),
  }),
  response: z.object({ value: z.string() }),
  errors: ['NO_DOMAIN_METADATA', 'OPERATION_INVALID'],
  doc: 'Title, description, or an element of `<metadata>` by its namespace.',
  example: { type: 'title' },
});
