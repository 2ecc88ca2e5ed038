/** Statistics: what is known without the guest is always told, what it must be asked for only when it answers. */
import { StatsGroup, statsOfDomain, type DomainStats } from '@virtbus/shared';
import type { Actor } from '../actor';
import { memoryOf, vcpusOf } from '../document';
import type { DriverHost } from '../host';
import { look } from './op';

/** How long one guest may keep a bulk answer waiting, milliseconds. */
const patienceMs = 1_000;

export async function statsOf(
  host: DriverHost,
  actor: Actor,
  groups: readonly StatsGroup[] | undefined,
  signal: AbortSignal,
): Promise<DomainStats> {
  const wanted = new Set<StatsGroup>(groups ?? StatsGroup.options);
  const { state, reason } = actor.record;
  const known: DomainStats = { uuid: actor.uuid, name: actor.record.name, state: { state, reason } };
  if (wanted.has('balloon')) {
    const { memoryKiB, maxMemoryKiB } = memoryOf(actor.document);
    known.balloon = { currentKiB: memoryKiB, maximumKiB: maxMemoryKiB };
  }
  if (wanted.has('vcpu')) {
    const { vcpus, maxVcpus } = vcpusOf(actor.document);
    known.vcpu = { current: vcpus, maximum: maxVcpus, vcpus: [] };
  }
  const facility = host.implementation.facets.stats;
  if (!facility || !actor.guest) return known;
  try {
    const limited = AbortSignal.any([signal, AbortSignal.timeout(patienceMs)]);
    const asked = await facility.collect(actor.guest, wanted, limited);
    return { ...known, ...asked, ...(known.balloon ? { balloon: { ...known.balloon, ...asked.balloon } } : {}) };
  } catch (err) {
    actor.log.debug({ err }, 'a guest does not answer for its statistics');
    return known;
  }
}

export const stats = look(statsOfDomain, 'any', async ({ groups }, { host, actor, call }) => ({
  stats: await statsOf(host, actor, groups, call.signal),
}));
