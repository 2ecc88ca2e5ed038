/**
 * Every subject of the bus and who is meant to use it, in the words of the design: written by hand and from contracts,
 * and not from the permissions that the server enforces.
 *
 * Users: one of each role, and two hosts, h1 and h2. `h1` below means the user of that host.
 */
import { buckets, contracts, streams, type Contract } from '@virtbus/shared';

export type User = 'reader' | 'operator' | 'admin' | 'service' | 'host-h1' | 'host-h2';
export const users: readonly User[] = ['reader', 'operator', 'admin', 'service', 'host-h1', 'host-h2'];

/** Some subjects, and exactly those who may use them. */
export interface Intent {
  subjects: readonly string[];
  by: readonly User[];
}

const v1 = 'virtbus.v1';
const uuid = '00000000-0000-4000-8000-000000000001';
const people = ['reader', 'operator', 'admin'] as const;
const commanders = ['operator', 'admin'] as const;
const managers = ['admin', 'service'] as const;
const everybody = users;
const nobody: readonly User[] = [];

const concrete = (c: Contract, kind: string, target: string): string =>
  [v1, kind, c.entity, ...(c.on === 'one' ? [target] : []), c.operation].join('.');
const each = (of: readonly Contract[], kinds: readonly string[], targets: readonly string[]): string[] =>
  of.flatMap((c) => kinds.flatMap((kind) => targets.map((target) => concrete(c, kind, target))));
const queries = contracts.filter(({ kind }) => kind === 'query');
const commands = contracts.filter(({ kind, role }) => kind === 'cmd' && role === 'operator');
const adminCommands = contracts.filter(({ kind, role }) => kind === 'cmd' && role === 'admin');
const asked = queries.filter(({ name }) => name === 'domain.get' || name === 'host.list');
const stored = contracts.filter(({ servedBy }) => servedBy === 'storage-service');
const served = contracts.filter(({ servedBy }) => servedBy !== 'storage-service');
const operations = [...new Set(contracts.map(({ operation }) => operation)), 'define', 'inventory', 'migrationPrepare'];

const privately = (host: string): string[] =>
  operations.flatMap((operation) =>
    ['qemu', 'lxc', 'storage'].map((driver) => `${v1}.host.${host}.${driver}.${operation}`),
  );
const events = (host: string): string[] => [
  `${v1}.event.domain.${uuid}.lifecycle.started.${host}`,
  `${v1}.event.pool.default.started.${host}`,
  `${v1}.event.chain.disk.changed.${host}`,
];

const logs = Object.values(streams);
const tables = Object.values(buckets).map((bucket) => `KV_${bucket}`);
const others = [...logs, ...tables].filter((stream) => stream !== streams.events);
const api = '$JS.API';
/** Reading a stream. */
const reads = (stream: string): string[] => [
  `${api}.STREAM.INFO.${stream}`,
  `${api}.DIRECT.GET.${stream}.x`,
  `${api}.CONSUMER.CREATE.${stream}`,
  `${api}.CONSUMER.CREATE.${stream}.mine`,
  `${api}.CONSUMER.CREATE.${stream}.mine.${v1}.event.>`.replace('>', 'x'),
  `${api}.CONSUMER.INFO.${stream}.mine`,
  `${api}.CONSUMER.DELETE.${stream}.mine`,
  `${api}.CONSUMER.MSG.NEXT.${stream}.mine`,
  `$JS.ACK.${stream}.mine.1.1.1.1.1`,
];
/** Changing a stream, or what others read from it. */
const changes = (stream: string): string[] => [
  ...['CREATE', 'UPDATE', 'DELETE', 'PURGE', 'RESTORE', 'SNAPSHOT', 'MSG.DELETE'].map(
    (op) => `${api}.STREAM.${op}.${stream}`,
  ),
  `${api}.CONSUMER.DURABLE.CREATE.${stream}.mine`,
  `${api}.CONSUMER.NAMES.${stream}`,
  `${api}.CONSUMER.LIST.${stream}`,
];

export const publishing: readonly Intent[] = [
  { subjects: each(asked, ['query'], [uuid, 'web1']), by: [...people, 'service'] },
  {
    subjects: each(
      queries.filter((c) => !asked.includes(c)),
      ['query'],
      [uuid, 'h1'],
    ),
    by: people,
  },
  { subjects: each(commands, ['cmd', 'queue'], [uuid, 'h1']), by: commanders },
  { subjects: each(adminCommands, ['cmd', 'queue'], [uuid, 'h1']), by: ['admin'] },
  {
    subjects: [...privately('h1'), ...privately('h2'), `${v1}.service.domain.handover`, `${v1}.sync.domain`],
    by: ['service'],
  },
  { subjects: [...events('h1'), `${v1}.stat.host.h1`, `${v1}.stream.h1.session.out`], by: ['host-h1'] },
  { subjects: [...events('h2'), `${v1}.stat.host.h2`, `${v1}.stream.h2.session.out`], by: ['host-h2'] },
  { subjects: [...events('h3'), `${v1}.stat.host.h3`, `${v1}.stat.x`, `${v1}.stream.h3.session.out`], by: nobody },
  { subjects: ['command', 'migration', 'drain'].map((of) => `${v1}.event.${of}.id.completed`), by: ['service'] },
  { subjects: [`${v1}.stream.h1.session.in`, `${v1}.stream.h2.session.in`], by: commanders },
  { subjects: [`${v1}.body.h1.token`, `${v1}.body.service.token`], by: everybody },
  { subjects: users.map((user) => `_INBOX.${user}.token`), by: ['service'] },
  { subjects: ['$SRV.PING', '$SRV.INFO.virtbus', '$SRV.STATS.virtbus.id'], by: [...people, 'service'] },
  { subjects: [`${api}.INFO`], by: [...people, 'service'] },
  { subjects: [`${api}.STREAM.MSG.GET.${streams.events}`], by: everybody },
  { subjects: reads(streams.events), by: [...people, 'service'] },
  { subjects: others.flatMap((stream) => [...reads(stream), `${api}.STREAM.MSG.GET.${stream}`]), by: managers },
  { subjects: [...logs, ...tables, 'NEW'].flatMap(changes), by: managers },
  { subjects: [`${api}.STREAM.NAMES`, `${api}.STREAM.LIST`], by: managers },
  { subjects: Object.values(buckets).map((bucket) => `$KV.${bucket}.key`), by: managers },
  { subjects: [`${v1}.other.x`, 'virtbus.v2.query.domain.list', 'virtbus', 'foo', '$SYS.REQ.SERVER.PING'], by: nobody },
  { subjects: ['$SYS.REQ.CLAIMS.UPDATE', '$SYS.REQ.ACCOUNT.PING.CONNZ'], by: nobody },
];

export const hearing: readonly Intent[] = [
  ...users.map((user) => ({ subjects: [`_INBOX.${user}.>`, `_INBOX.${user}.token`], by: [user] })),
  { subjects: ['_INBOX.>', '_INBOX.*.>', '>', '*.>', `virtbus.>`, '$SYS.>', '$JS.API.>', '$JS.ACK.>'], by: nobody },
  {
    subjects: [`${v1}.>`, `${v1}.host.>`, `${v1}.host.*.>`, `${v1}.cmd.>`, `${v1}.queue.>`, `${v1}.body.>`],
    by: ['admin'],
  },
  { subjects: [`${v1}.event.>`, ...events('h1'), `${v1}.stat.>`, `${v1}.stat.host.h1`], by: [...people, 'service'] },
  { subjects: [`${v1}.stream.*.session.out`, `${v1}.stream.h1.session.out`], by: commanders },
  { subjects: [`${v1}.stream.h1.session.in`], by: ['admin', 'host-h1'] },
  { subjects: each(served, ['query', 'cmd'], [uuid, '*']), by: managers },
  { subjects: each(stored, ['query', 'cmd'], ['h1']), by: ['admin', 'host-h1'] },
  { subjects: each(stored, ['query', 'cmd'], ['h2']), by: ['admin', 'host-h2'] },
  { subjects: each(stored, ['query', 'cmd'], ['*', 'h3']), by: ['admin'] },
  { subjects: each(contracts, ['queue'], [uuid]), by: ['admin'] },
  { subjects: [...privately('h1'), `${v1}.host.h1.>`, `${v1}.body.h1.token`], by: ['admin', 'host-h1'] },
  { subjects: [...privately('h2'), `${v1}.host.h2.>`, `${v1}.body.h2.token`], by: ['admin', 'host-h2'] },
  { subjects: [`${v1}.service.>`, `${v1}.service.domain.handover`, `${v1}.sync.domain`], by: managers },
  { subjects: [`${v1}.body.service.token`], by: managers },
  { subjects: Object.values(buckets).map((bucket) => `$KV.${bucket}.key`), by: ['admin'] },
  { subjects: ['$SRV.PING', '$SRV.INFO.virtbus', '$SRV.>'], by: [...managers, 'host-h1', 'host-h2'] },
];
