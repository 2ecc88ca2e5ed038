/**
 * What each role may publish and hear, derived from the contracts. The NATS server enforces it: the bus is the border.
 *
 * Nobody hears another's inbox: each user has a prefix of its own, its name. Whoever may read events can create a consumer on
 * their stream and have the server deliver it anywhere; services therefore refuse a command that has no inbox to
 * answer to (`bus/serve.ts`), which a consumer's delivery never has.
 */
import {
  bodySubject,
  contracts,
  endpointSubject,
  getDomain,
  listHosts,
  root,
  streams,
  syncSubject,
} from '../contracts';
import { storageEventTypes } from '../model';

export const roleNames = ['admin', 'operator', 'reader', 'service', 'host'] as const;
export type RoleName = (typeof roleNames)[number];

export interface Permissions {
  publish: { allow: string[]; deny?: string[] };
  subscribe: { allow: string[] };
  /** May answer what it was asked, and nothing else: how many messages, and for how long (milliseconds). */
  responses?: { max: number; ttlMs: number };
}

/** Where a user is answered; its name is one token. */
export function inboxPrefix(name: string): string {
  return `_INBOX.${name}`;
}

/** Reading the event log: create, pull from and drop consumers of that one stream. */
const readEvents = [
  `$JS.API.STREAM.INFO.${streams.events}`,
  `$JS.API.STREAM.MSG.GET.${streams.events}`,
  `$JS.API.DIRECT.GET.${streams.events}.>`,
  `$JS.API.CONSUMER.CREATE.${streams.events}`,
  `$JS.API.CONSUMER.CREATE.${streams.events}.>`,
  `$JS.API.CONSUMER.INFO.${streams.events}.*`,
  `$JS.API.CONSUMER.DELETE.${streams.events}.*`,
  `$JS.API.CONSUMER.MSG.NEXT.${streams.events}.*`,
  `$JS.ACK.${streams.events}.>`,
  '$JS.API.INFO',
];
const calls = [`${root}.query.>`, `${root}.cmd.>`, `${root}.queue.>`];
const discover = ['$SRV.PING', '$SRV.INFO', '$SRV.STATS', '$SRV.*.>'];

/**
 * @param name the user's
 * @param host the one that a user of role `host` speaks for; other roles have none
 */
export function permissionsOf(role: RoleName, { name, host }: { name: string; host: string }): Permissions {
  const inbox = `${inboxPrefix(name)}.>`;
  switch (role) {
    case 'reader':
      return {
        publish: { allow: [`${root}.query.>`, `${root}.body.>`, ...discover, ...readEvents] },
        subscribe: { allow: [inbox, `${root}.event.>`, `${root}.stat.>`] },
      };
    case 'operator':
      return {
        publish: {
          allow: [...calls, `${root}.body.>`, `${root}.stream.*.*.in`, ...discover, ...readEvents],
          deny: adminOnly(),
        },
        subscribe: { allow: [inbox, `${root}.event.>`, `${root}.stat.>`, `${root}.stream.*.*.out`] },
      };
    case 'admin':
      return {
        publish: {
          allow: [...calls, `${root}.body.>`, `${root}.stream.*.*.in`, ...['$JS.>', '$KV.>', '$SRV.>']],
        },
        // Whoever looks for a fault may hear what is said, on every subject of ours.
        subscribe: { allow: [inbox, `${root}.>`, '$KV.>', '$SRV.>'] },
      };
    case 'service':
      return {
        publish: {
          allow: [
            // What the migration service asks the domain service.
            endpointSubject(getDomain),
            endpointSubject(listHosts),
            `${root}.host.>`,
            `${root}.service.>`,
            `${root}.event.command.>`,
            `${root}.event.migration.>`,
            `${root}.event.drain.>`,
            syncSubject,
            `${root}.body.>`,
            '$JS.>',
            '$KV.>',
            '$SRV.>',
            '_INBOX.>',
          ],
        },
        subscribe: {
          allow: [
            inbox,
            ...servedByServices(),
            `${root}.service.>`,
            `${root}.event.>`,
            `${root}.stat.>`,
            syncSubject,
            bodySubject('service', '*'),
            '$SRV.>',
          ],
        },
      };
    case 'host':
      return {
        publish: {
          allow: [
            `${root}.event.domain.*.*.*.${host}`,
            ...Object.keys(storageEventTypes).map((entity) => `${root}.event.${entity}.*.*.${host}`),
            `${root}.stat.host.${host}`,
            `${root}.stream.${host}.*.out`,
            `${root}.body.>`,
            `$JS.API.STREAM.MSG.GET.${streams.events}`,
          ],
        },
        subscribe: {
          allow: [
            inbox,
            `${root}.host.${host}.>`,
            ...servedByStorage(host),
            `${root}.stream.${host}.*.in`,
            `${root}.body.${host}.*`,
            '$SRV.>',
          ],
        },
        responses: { max: 1_000, ttlMs: 20 * 60_000 },
      };
  }
}

/** What the domain and the migration service serve to users: nothing that a host serves itself. */
function servedByServices(): string[] {
  const entities = new Set(contracts.filter((c) => c.servedBy !== 'storage-service').map(({ entity }) => entity));
  return [...entities].flatMap((entity) => ['query', 'cmd'].map((kind) => `${root}.${kind}.${entity}.>`));
}

/** What the storage service of a host serves to users. */
function servedByStorage(host: string): string[] {
  const entities = new Set(contracts.filter((c) => c.servedBy === 'storage-service').map(({ entity }) => entity));
  return [...entities].flatMap((entity) => ['query', 'cmd'].map((kind) => `${root}.${kind}.${entity}.${host}.*`));
}

/** The commands that an operator may not give, also not through the queue. */
function adminOnly(): string[] {
  return contracts
    .filter((c) => c.role === 'admin')
    .map(endpointSubject)
    .flatMap((subject) => [subject, subject.replace(`${root}.cmd.`, `${root}.queue.`)]);
}
