/**
 * What each role may publish and hear, derived from the contracts. The NATS server enforces it: the bus is the border.
 *
 * Nobody hears another's inbox: each user has a prefix of its own. Whoever may read events can create a consumer on
 * their stream and have the server deliver it anywhere; services therefore refuse a command that has no inbox to
 * answer to (`bus/serve.ts`), which a consumer's delivery never has.
 */
import { contracts, endpointSubject, getDomain, listHosts, root, streams, syncSubject } from '../contracts';
import { storageEventTypes } from '../model';

export type UserRole =
  { role: 'admin' } | { role: 'operator' } | { role: 'reader' } | { role: 'service' } | { role: 'host'; host: string };

export interface Permissions {
  publish: { allow: string[]; deny?: string[] };
  subscribe: { allow: string[] };
  /** May answer what it was asked, and nothing else: messages, and for how long. */
  responses?: { max: number; expires: string };
}

export function inboxPrefix(user: UserRole): string {
  return `_INBOX.${user.role}${user.role === 'host' ? `-${user.host}` : ''}`;
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
const discover = ['$SRV.PING', '$SRV.INFO', '$SRV.STATS', '$SRV.*.>'];

export function permissionsOf(user: UserRole): Permissions {
  const inbox = `${inboxPrefix(user)}.>`;
  switch (user.role) {
    case 'reader':
      return {
        publish: { allow: [`${root}.query.>`, `${root}.body.>`, ...discover, ...readEvents] },
        subscribe: { allow: [inbox, `${root}.event.>`, `${root}.stat.>`] },
      };
    case 'operator':
      return {
        publish: {
          allow: [
            `${root}.query.>`,
            `${root}.cmd.>`,
            `${root}.queue.>`,
            `${root}.body.>`,
            `${root}.stream.*.*.in`,
            ...discover,
            ...readEvents,
          ],
          deny: adminOnly(),
        },
        subscribe: { allow: [inbox, `${root}.event.>`, `${root}.stat.>`, `${root}.stream.*.*.out`] },
      };
    case 'admin':
      return {
        publish: {
          allow: [`${root}.>`, '$JS.>', '$KV.>', '$SRV.>'],
          deny: [`${root}.event.>`, `${root}.stat.>`, `${root}.host.>`, `${root}.service.>`, syncSubject],
        },
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
        subscribe: { allow: [inbox, `${root}.>`, '$KV.>', '$SRV.>'] },
      };
    case 'host':
      return {
        publish: {
          allow: [
            `${root}.event.domain.*.*.*.${user.host}`,
            ...Object.keys(storageEventTypes).map((entity) => `${root}.event.${entity}.*.*.${user.host}`),
            `${root}.stat.host.${user.host}`,
            `${root}.stream.${user.host}.*.out`,
            `${root}.body.>`,
            `$JS.API.STREAM.MSG.GET.${streams.events}`,
          ],
        },
        subscribe: {
          allow: [
            inbox,
            `${root}.host.${user.host}.>`,
            ...servedByStorage(user.host),
            `${root}.stream.${user.host}.*.in`,
            `${root}.body.${user.host}.*`,
            '$SRV.>',
          ],
        },
        responses: { max: 1_000, expires: '20m' },
      };
  }
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
