/** Hosts in a table, and one in full. */
import type { listHosts, Response } from '@virtbus/shared';
import type { Paint } from '../output';
import { formatBytes } from '../sizes';
import { fields, safe, table } from './table';

type Host = Response<typeof listHosts>['hosts'][number];

const size = (kib: number): string => formatBytes(kib * 1_024);
const state = ({ online, cordoned }: Host, paint?: Paint): string => {
  const word = `${online ? 'online' : 'offline'}${cordoned ? ', cordoned' : ''}`;
  return paint ? paint(online ? 'green' : 'red', word) : word;
};

export function printHosts(hosts: readonly Host[], paint: Paint): string {
  const rows = hosts.map((host) => [
    host.host,
    host.driver,
    state(host, paint),
    `${host.active}/${host.domains}`,
    String(host.cpus),
    (host.load[0] ?? 0).toFixed(2),
    `${size(host.freeMemoryKiB)} of ${size(host.memoryKiB)}`,
    labels(host),
  ]);
  return table(['Host', 'Driver', 'State', 'Active/Domains', 'CPUs', 'Load', 'Free memory', 'Labels'], rows, paint);
}

const labels = (host: Host): string =>
  Object.entries(host.labels)
    .map(([key, value]) => safe(`${key}=${value}`))
    .join(' ');

export function printHost(host: Host): string {
  return fields([
    ['Host', host.host],
    ['UUID', host.hostUuid],
    ['State', state(host)],
    ['Driver', `${host.driver} ${host.version}`],
    ['Hypervisor', host.hypervisorVersion],
    ['Domain types', host.virtTypes.join(' ')],
    ['Architectures', host.arches.join(' ')],
    ['Native formats', host.nativeFormats.join(' ') || undefined],
    ['CPU(s)', host.cpus],
    ['Load', host.load.map((each) => each.toFixed(2)).join(' ')],
    ['Memory', size(host.memoryKiB)],
    ['Free memory', size(host.freeMemoryKiB)],
    ['Domains', `${host.domains}, ${host.active} of them active`],
    ['Labels', labels(host) || undefined],
    ['Up since', host.startedAt],
    ['Heard of', host.time],
    ['Unsent events', host.journal],
  ]);
}
