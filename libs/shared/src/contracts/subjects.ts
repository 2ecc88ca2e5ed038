/**
 * Every subject of the bus, made in one place: `virtbus.v1.<kind>.<entity>[.<id>].<operation>`.
 * Ids are single tokens; a domain's name is encoded (`encodeToken`).
 */
import { encodeToken } from '../model/ids';
import type { MoveEvent } from '../model/move-event';
import type { Contract } from './contract';

export const root = 'virtbus.v1';

/** Where a client publishes a call. `target` is the uuid or name of a domain; for storage and hosts it is the host's name. */
export function callSubject(c: Contract, target?: string): string {
  return `${root}.${c.kind}.${tail(c, target)}`;
}

/** Where the same command is queued, to be applied later and once. */
export function queueSubject(c: Contract, target?: string): string {
  return `${root}.queue.${tail(c, target)}`;
}

/** The subject that a service listens on: any target. */
export function endpointSubject(c: Contract): string {
  return `${root}.${c.kind}.${c.on === 'one' ? `${c.entity}.*.${c.operation}` : `${c.entity}.${c.operation}`}`;
}

function tail(c: Contract, target: string | undefined): string {
  if (c.on === 'all') return `${c.entity}.${c.operation}`;
  if (!target) throw new TypeError(`${c.name} needs a target`);
  return `${c.entity}.${encodeToken(target)}.${c.operation}`;
}

/**
 * Where our services ask one driver, or the storage service (`storage`), on one host. The domain is named in a header,
 * the body is the request.
 */
export function driverSubject(host: string, driver: string, operation: string): string {
  return `${root}.host.${host}.${driver}.${operation}`;
}

/** Where our services ask one another what no host does: any copy answers. Not for users. */
export function serviceSubject(service: string, operation: string): string {
  return `${root}.service.${service}.${operation}`;
}

/**
 * Where an event is published and stored. The host is the last token, so that the server itself can hold a host to
 * events of its own (design §7); subscribers to all hosts end their filter in `*`.
 */
export function eventSubject(e: { uuid: string; class: string; type: string; host: string }): string {
  return `${root}.event.domain.${e.uuid}.${e.class}.${e.type}.${e.host}`;
}

/** A filter over events of domains; what is left out matches all. */
export function eventFilter(f: { uuid?: string; class?: string; type?: string; host?: string } = {}): string {
  return `${root}.event.domain.${f.uuid ?? '*'}.${f.class ?? '*'}.${f.type ?? '*'}.${f.host ?? '*'}`;
}

/** Where an event of a host's storage service is published and stored. `name` is that of the pool, or the image's path. */
export function storageEventSubject(e: { entity: string; name: string; type: string; host: string }): string {
  return `${root}.event.${e.entity}.${encodeToken(e.name)}.${e.type}.${e.host}`;
}

/** A filter over events of pools or chains; what is left out matches all. */
export function storageEventFilter(f: { entity: string; name?: string; type?: string; host?: string }): string {
  const name = f.name === undefined ? '*' : encodeToken(f.name);
  return `${root}.event.${f.entity}.${name}.${f.type ?? '*'}.${f.host ?? '*'}`;
}

/** Where the migration service tells of a migration (of its domain, from its source) or of a drain (of its id, from its host). */
export function moveEventSubject(e: MoveEvent): string {
  const [of, host] = e.entity === 'migration' ? [e.domain, e.source.host] : [e.drain, e.host];
  return `${root}.event.${e.entity}.${encodeToken(of)}.${e.type}.${host}`;
}

/** A filter over events of migrations or drains; what is left out matches all. `of` is a domain's uuid, or a drain's id. */
export function moveEventFilter(f: { entity: MoveEvent['entity']; of?: string; type?: string; host?: string }): string {
  const of = f.of === undefined ? '*' : encodeToken(f.of);
  return `${root}.event.${f.entity}.${of}.${f.type ?? '*'}.${f.host ?? '*'}`;
}

/** Where the outcome of a queued command is told. */
export function outcomeSubject(commandId: string, ended: 'completed' | 'failed'): string {
  return `${root}.event.command.${encodeToken(commandId)}.${ended}`;
}

/** Where copies of the domain service tell one another what a host has just answered. Not for users. */
export const syncSubject = `${root}.sync.domain`;

/** Where every copy of the domain service, not only one of them, says what it believes of the domains. Not for users. */
export const beliefSubject = serviceSubject('domain', 'belief');

/**
 * Where every copy of a service says whether it is at a command, to whoever waits for its answer.
 * @param host whose storage service is meant
 */
export const atWorkSubject = {
  domain: `${root}.query.domain.at-work`,
  migration: `${root}.query.migration.at-work`,
  storage: (host: string): string => `${root}.query.pool.${encodeToken(host)}.at-work`,
};

export function statSubject(host: string): string {
  return `${root}.stat.host.${host}`;
}

/** The two directions of a byte stream (a console): `in` to the host, `out` from it. */
export function streamSubject(host: string, session: string, direction: 'in' | 'out'): string {
  return `${root}.stream.${host}.${session}.${direction}`;
}

/**
 * Where a body that is larger than one message can be fetched, part by part. Only its owner (a host, or `service`) may
 * listen there; a client serves its own large requests on its inbox instead.
 */
export function bodySubject(owner: string, token: string): string {
  return `${root}.body.${owner}.${token}`;
}

/** The JetStream names: few, and never one per host or domain. */
export const streams = { events: 'VIRTBUS_EVENTS', queue: 'VIRTBUS_QUEUE' } as const;
export const buckets = {
  domains: 'virtbus_domains',
  names: 'virtbus_names',
  hosts: 'virtbus_hosts',
  leases: 'virtbus_leases',
  migrations: 'virtbus_migrations',
  drains: 'virtbus_drains',
} as const;
