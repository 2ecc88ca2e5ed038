/** JSON Schemas of requests, responses and events, and the AsyncAPI 3 document that ties them to subjects. */
import {
  CommandOutcome,
  contracts,
  DomainEvent,
  DrainEvent,
  endpointSubject,
  errorsOf,
  HostStatus,
  MigrationEvent,
  root,
  StorageEvent,
} from '@virtbus/shared';
import { domainJsonSchema } from '@virtbus/domain-xml';
import { z } from 'zod';

const schemaOf = (schema: z.ZodType, io: 'input' | 'output'): unknown =>
  z.toJSONSchema(schema, { io, unrepresentable: 'any', reused: 'inline' });

/** File name (below `schemas/`) → schema. */
export function schemas(): Map<string, unknown> {
  const all = new Map<string, unknown>();
  for (const c of contracts) {
    all.set(`${c.name}.request.json`, schemaOf(c.request, 'input'));
    all.set(`${c.name}.response.json`, schemaOf(c.response, 'output'));
  }
  all.set('domain-document.json', domainJsonSchema());
  all.set('event.json', schemaOf(DomainEvent, 'output'));
  all.set('storage-event.json', schemaOf(StorageEvent, 'output'));
  all.set('migration-event.json', schemaOf(MigrationEvent, 'output'));
  all.set('drain-event.json', schemaOf(DrainEvent, 'output'));
  all.set('outcome.json', schemaOf(CommandOutcome, 'output'));
  all.set('host-status.json', schemaOf(HostStatus, 'output'));
  all.set('error.json', {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    type: 'object',
    required: ['code', 'message', 'details'],
    properties: { code: { type: 'string' }, message: { type: 'string' }, details: { type: 'object' } },
  });
  return all;
}

const message = (name: string): unknown => ({ payload: { $ref: `schemas/${name}.json` } });

/** Source: AsyncAPI 3.0.0 specification, request/reply pattern. */
export function asyncApi(version: string): unknown {
  const channels: Record<string, unknown> = {};
  const operations: Record<string, unknown> = {};
  for (const c of contracts) {
    const key = c.name.replace('.', '-');
    channels[key] = {
      address: endpointSubject(c).replace('.*.', '.{id}.'),
      ...(c.on === 'one' ? { parameters: { id: { description: 'uuid or encoded name' } } } : {}),
      messages: {
        request: message(`${c.name}.request`),
        response: message(`${c.name}.response`),
        error: message('error'),
      },
    };
    operations[key] = {
      action: 'receive',
      summary: c.doc,
      channel: { $ref: `#/channels/${key}` },
      messages: [{ $ref: `#/channels/${key}/messages/request` }],
      reply: {
        channel: { $ref: `#/channels/${key}` },
        messages: [{ $ref: `#/channels/${key}/messages/response` }, { $ref: `#/channels/${key}/messages/error` }],
      },
      'x-virtbus-role': c.role,
      'x-virtbus-timeout-ms': c.timeoutMs,
      'x-virtbus-errors': errorsOf(c),
    };
  }
  const published: [string, string, string, string][] = [
    [
      'event',
      `${root}.event.domain.{uuid}.{class}.{type}.{host}`,
      'event',
      'Something happened to a domain; replayable.',
    ],
    [
      'storage-event',
      `${root}.event.{entity}.{name}.{type}.{host}`,
      'storage-event',
      'Something happened to a pool or a chain of images of a host; replayable.',
    ],
    [
      'migration-event',
      `${root}.event.migration.{domain}.{type}.{source}`,
      'migration-event',
      'A phase of a migration has begun, or the migration has ended; replayable.',
    ],
    [
      'drain-event',
      `${root}.event.drain.{id}.{type}.{host}`,
      'drain-event',
      'A host is being emptied: its beginning, each guest, its end; replayable.',
    ],
    ['outcome', `${root}.event.command.{id}.{ended}`, 'outcome', 'How a queued command ended.'],
    ['host-status', `${root}.stat.host.{host}`, 'host-status', 'The heartbeat of a driver; never stored.'],
  ];
  for (const [key, address, schema, summary] of published) {
    const names = [...address.matchAll(/\{(\w+)\}/g)].map((match) => match[1]!);
    channels[key] = {
      address,
      parameters: Object.fromEntries(names.map((name) => [name, {}])),
      messages: { [key]: message(schema) },
    };
    operations[key] = { action: 'send', summary, channel: { $ref: `#/channels/${key}` } };
  }
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'virtbus',
      version,
      license: { name: 'Apache-2.0' },
      description: 'Commands, queries and events of a virtbus fleet over NATS.',
    },
    defaultContentType: 'application/json',
    channels,
    operations,
  };
}
