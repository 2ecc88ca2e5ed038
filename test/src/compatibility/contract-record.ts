/**
 * All that others rely on in the contracts, as plain data: subjects, schemas, event classes, error numbers, names of streams.
 * The record of the last release lies in `released/contracts.json`; what was in it and is no more, or not as it was, breaks
 * those who speak that version.
 */
import * as shared from '@virtbus/shared';
import type { Contract, DriverContract } from '@virtbus/shared';
import { z } from 'zod';
import { breaksBetween, type Direction, type Schema } from './breaks';

export interface RecordedContract {
  /** Where it is asked for; the operation alone for what services ask one another. */
  subject: string;
  role?: string;
  /** It may be queued. */
  queue?: boolean;
  request: Schema;
  response: Schema;
}

export interface ContractRecord {
  contracts: Record<string, RecordedContract>;
  messages: Record<string, Schema>;
  /** Types of events by class. */
  events: Record<string, readonly string[]>;
  /** libvirt's numbers by code. */
  errors: Record<string, number>;
  /** Of JetStream's streams and buckets, and of headers. */
  names: Record<string, string>;
}

/** What is published without being asked for. */
const messages = {
  'an event of a domain': shared.DomainEvent,
  'an event of storage': shared.StorageEvent,
  'the outcome of a queued command': shared.CommandOutcome,
  "a driver's heartbeat": shared.HostStatus,
};

const roles: readonly string[] = ['reader', 'operator', 'admin'];

export function recordOfToday(): ContractRecord {
  const served = Object.fromEntries(shared.contracts.map((c) => [c.name, recorded(c, shared.endpointSubject(c))]));
  const among = Object.entries(shared as Record<string, unknown>).flatMap(([name, value]) =>
    isPrivate(value) ? [[`${name} (between services)`, recorded(value, value.operation)] as const] : [],
  );
  return {
    contracts: { ...served, ...Object.fromEntries(among) },
    messages: Object.fromEntries(Object.entries(messages).map(([name, schema]) => [name, plain(schema, 'output')])),
    events: {
      ...Object.fromEntries(Object.entries(shared.domainEventClasses).map(([name, { types }]) => [name, types])),
      ...shared.storageEventTypes,
    },
    errors: Object.fromEntries(Object.entries(shared.errorTable).map(([code, { number }]) => [code, number])),
    names: { ...shared.streams, ...shared.buckets },
  };
}

/** A line for each break: where, what, and what to do instead. */
export function breaksOf(before: ContractRecord, now: ContractRecord): string[] {
  return [
    ...Object.entries(before.contracts).flatMap(([name, old]) => breaksOfContract(name, old, now.contracts[name])),
    ...Object.entries(before.messages).flatMap(([name, old]) =>
      breaksOfSchema(name, 'response', old, now.messages[name]),
    ),
    ...Object.entries(before.events).flatMap(([name, types]) =>
      types
        .filter((type) => !now.events[name]?.includes(type))
        .map((type) => `events ${name}.${type}: are told no more; keep telling them until a v2 of the subjects`),
    ),
    ...changed('error', before.errors, now.errors, 'no code is renamed or given another number; add a new one'),
    ...changed('name', before.names, now.names, 'what is stored under it would be lost'),
  ];
}

function breaksOfContract(name: string, before: RecordedContract, now: RecordedContract | undefined): string[] {
  if (!now) return [`${name}: is gone; keep it beside its successor, which gets another name`];
  const told: string[] = [];
  if (now.subject !== before.subject) {
    told.push(`${name}: its subject was ${before.subject} and is ${now.subject}; keep serving the old one`);
  }
  if (roles.indexOf(now.role ?? 'reader') > roles.indexOf(before.role ?? 'reader')) {
    told.push(`${name}: ${before.role}s could ask for it and can no more; add an operation for ${now.role}s instead`);
  }
  if (before.queue && !now.queue) told.push(`${name}: can be queued no more; serve what waits in the queue`);
  return [
    ...told,
    ...breaksOfSchema(name, 'request', before.request, now.request),
    ...breaksOfSchema(name, 'response', before.response, now.response),
  ];
}

function breaksOfSchema(name: string, direction: Direction, before: Schema, now: Schema | undefined): string[] {
  if (!now) return [`${name}: is gone; keep publishing it`];
  return breaksBetween(before, now, direction).map(
    ({ field, what }) => `${name}, ${direction}, ${field ? `field '${field}'` : 'as a whole'}: ${what}; ${advice}`,
  );
}

const advice = 'add a new optional field beside it, or declare the operation anew under a v2 subject';

function changed<T>(what: string, before: Record<string, T>, now: Record<string, T>, why: string): string[] {
  return Object.entries(before)
    .filter(([name, value]) => now[name] !== value)
    .map(([name, value]) => `${what} ${name}: was ${String(value)} and is ${String(now[name] ?? 'gone')}; ${why}`);
}

function recorded(c: Contract | DriverContract, subject: string): RecordedContract {
  return {
    subject,
    ...('role' in c ? { role: c.role, queue: c.queue } : {}),
    request: plain(c.request, 'input'),
    response: plain(c.response, 'output'),
  };
}

function isPrivate(value: unknown): value is DriverContract {
  return (
    typeof value === 'object' && value !== null && 'operation' in value && 'request' in value && !('servedBy' in value)
  );
}

/** Without words, and open: on the bus fields that a reader does not know are passed over. */
function plain(schema: z.ZodType, io: 'input' | 'output'): Schema {
  const whole = z.toJSONSchema(schema, { io, unrepresentable: 'any', reused: 'inline' });
  return JSON.parse(JSON.stringify(whole), (key, value: unknown) => {
    const words = key === 'description' || key === '$schema' || key === 'default';
    return (words && typeof value !== 'object') || (key === 'additionalProperties' && value === false)
      ? undefined
      : value;
  }) as Schema;
}
