/**
 * What every handler works with: what is known of domains and hosts, the registry, and the way to a domain's home.
 */
import { canonicalUuid, driverGet, isVirtError, VirtError, type DomainSummary } from '@virtbus/shared';
import { callDriver, type Bus, type Call, type CallContext } from '@virtbus/shared/bus';
import type { Log } from '@virtbus/shared/log';
import type { At, Hosts } from './hosts';
import type { FleetLeases } from './images/fleet-leases';
import type { Settler } from './images/settle';
import type { Knowledge } from './knowledge';
import type { Placement } from './placement';
import type { Projection } from './projection';
import type { AskHost, Claims } from './registry/claims';
import { placeholder } from './registry/entries';
import type { Registry } from './registry/registry';

/** Where a domain lives. */
export interface Home extends At {
  uuid: string;
  name: string;
  epoch: number;
  /** As far as this copy knows. */
  images?: boolean | undefined;
  managedSave?: boolean;
  /** It has left: the host may still answer a command that is sent again. */
  left?: boolean;
}

export interface Fleet {
  bus: Bus;
  log: Log;
  projection: Projection;
  hosts: Hosts;
  placement: Placement;
  registry: Registry;
  claims: Claims;
  leases: FleetLeases;
  knowledge: Knowledge;
  settler: Settler;
  /** When this process began, on the clock of `performance.now()`. */
  startedAt: number;
}

/** A little of the time is kept, so that the host's own words about a deadline arrive before ours. */
const marginMs = 100;

/** The context of a call to a host on behalf of a caller: its id, and the time it has left. */
export function onBehalf(call: Call, home?: { uuid: string; epoch?: number }): CallContext {
  const left = call.deadline - performance.now();
  return {
    id: call.id,
    traceparent: call.traceparent,
    caller: call.caller,
    timeoutMs: Math.max(1, left - Math.min(marginMs, left / 10)),
    domain: home?.uuid,
    epoch: home?.epoch,
  };
}

/** The home of a domain, by uuid or name. Throws `DOMAIN_NOT_FOUND`. */
export async function locate(fleet: Fleet, target: string): Promise<Home> {
  const known = fleet.projection.find(target) ?? (await registered(fleet, target)) ?? fleet.projection.departed(target);
  if (!known) throw new VirtError('DOMAIN_NOT_FOUND', { domain: target });
  return known;
}

/** Where the registry says a domain lives: for what another copy has just written. */
export async function registered({ registry, projection }: Fleet, target: string): Promise<Home | undefined> {
  const uuid = canonicalUuid(target);
  const entry = (uuid === undefined ? undefined : await registry.domain(uuid)) ?? (await registry.named(target));
  if (!entry) return undefined;
  const left = projection.tombstone(entry.value.uuid);
  return left && left.epoch >= entry.value.epoch ? undefined : entry.value;
}

/** Another home than the one that refused us, if the registry knows one: the domain moved under our eyes. */
export async function movedTo(
  fleet: Fleet,
  from: Pick<Home, 'uuid' | 'host' | 'driver' | 'epoch'>,
  refusal: unknown,
): Promise<Home | undefined> {
  if (!isVirtError(refusal, 'DOMAIN_NOT_FOUND') && !isVirtError(refusal, 'EPOCH_STALE')) return undefined;
  const now = await registered(fleet, from.uuid).catch(() => undefined);
  const same = now?.host === from.host && now.driver === from.driver && now.epoch === from.epoch;
  return same ? undefined : now;
}

/** A domain's summary, asked of its host when this copy has none yet. Throws `DOMAIN_NOT_FOUND`. */
export async function summaryOf(fleet: Fleet, target: string, timeoutMs: number): Promise<DomainSummary> {
  const known = fleet.projection.find(target);
  if (known) return known;
  const entry = await registered(fleet, target);
  if (!entry) throw new VirtError('DOMAIN_NOT_FOUND', { domain: target });
  try {
    const context = { domain: entry.uuid, timeoutMs };
    const { domain } = await callDriver(fleet.bus, entry, driverGet, {}, context);
    fleet.knowledge.heard(domain);
    return domain;
  } catch (error) {
    if (isVirtError(error, 'DOMAIN_NOT_FOUND')) throw new VirtError('DOMAIN_NOT_FOUND', { domain: target });
    return placeholder(entry);
  }
}

/** Asks hosts about domains, for those who judge claims. */
export function hostAsker(bus: Bus): AskHost {
  return async (at, uuid) => {
    try {
      const { domain } = await callDriver(bus, at, driverGet, {}, { domain: uuid, timeoutMs: 2_000 });
      return { name: domain.name };
    } catch (error) {
      return isVirtError(error, 'DOMAIN_NOT_FOUND') ? 'absent' : 'unknown';
    }
  };
}
