/** Domains in a table, by themselves, and in a word. */
import type { DomainStats, DomainSummary, TaintType } from '@virtbus/shared';
import type { Paint } from '../output';
import { reasonWords, stateWords } from './state';
import { fields, safe, table } from './table';

/** virsh's table, with the host as a last column: ids count per host. */
export function printDomains(domains: readonly DomainSummary[], show: { title: boolean }, paint: Paint): string {
  const head = ['Id', 'Name', 'State', 'Host', ...(show.title ? ['Title'] : [])];
  const rows = sortById(domains).map((each) => [
    each.id < 0 ? '-' : String(each.id),
    safe(each.name),
    stateWords(each.state, paint),
    each.host,
    ...(show.title ? [safe(each.title ?? '')] : []),
  ]);
  return table(head, rows, paint);
}

/** Active ones by id, then the others by name, as virsh has them. */
function sortById(domains: readonly DomainSummary[]): DomainSummary[] {
  const rank = (each: DomainSummary): number => (each.id < 0 ? Number.MAX_SAFE_INTEGER : each.id);
  return [...domains].sort((a, b) => rank(a) - rank(b) || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}

/** One a line: `uuid name` when both are asked for. */
export function isolatedNames(domains: readonly DomainSummary[], show: { name: boolean; uuid: boolean }): string {
  return sortById(domains)
    .map(({ name, uuid }) => [...(show.uuid ? [uuid] : []), ...(show.name ? [safe(name)] : [])].join(' '))
    .join('\n');
}

const yes = (value: boolean): string => (value ? 'yes' : 'no');
const enabled = (value: boolean): string => (value ? 'enable' : 'disable');

/** As virsh has it. */
const taints: Record<TaintType, string> = {
  'custom-argv': 'custom configuration parameters specified',
  'custom-monitor': 'custom monitor control commands issued',
  'custom-hypervisor-feature': 'hypervisor feature autodetection override',
  'custom-device': 'custom device configuration',
};

/** virsh's dominfo, and what a fleet adds. */
export function printInfo(domain: DomainSummary, stats: DomainStats | undefined, online: boolean): string {
  return fields([
    ['Id', domain.id < 0 ? '-' : domain.id],
    ['Name', safe(domain.name)],
    ['Title', domain.title && safe(domain.title)],
    ['UUID', domain.uuid],
    ['OS Type', domain.osType],
    ['State', stateWords(domain.state)],
    ['CPU(s)', domain.vcpus],
    ['CPU time', stats?.cpu && domain.id >= 0 ? `${(stats.cpu.timeNs / 1e9).toFixed(1)}s` : undefined],
    ['Max memory', `${domain.maxMemoryKiB} KiB`],
    ['Used memory', `${domain.memoryKiB} KiB`],
    ['Persistent', yes(domain.persistent)],
    ['Autostart', enabled(domain.autostart)],
    ['Managed save', yes(domain.managedSave)],
    ['Messages', domain.tainted && `tainted: ${domain.tainted.map((type) => taints[type]).join(', ')}`],
    ['Changed', domain.updated ? 'yes, at the next start' : undefined],
    ['Virt type', domain.virtType],
    ['Machine', [domain.arch, domain.machine].filter(Boolean).join(' ')],
    ['Host', online ? domain.host : `${domain.host} (offline: this is what was last known)`],
    ['Driver', domain.driver],
    ['Revision', domain.revision],
  ]);
}

export function printState(domain: Pick<DomainSummary, 'state' | 'reason'>, withReason: boolean): string {
  const state = stateWords(domain.state);
  return withReason ? `${state} (${reasonWords(domain.reason)})` : state;
}
