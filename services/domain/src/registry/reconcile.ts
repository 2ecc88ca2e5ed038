/**
 * Comparing what hosts say lives with them with what the registry says, and what follows.
 *
 * The host is the truth about what runs there; absence is not evidence. So a domain that the registry lacks is written
 * (this rebuilds a wiped JetStream), one that a host lacks stays unless the host says that it left, and of two hosts the
 * higher epoch has it. Pure: it decides, `Reconciler` does.
 */
import { encodeToken, type DomainSummary, type Inventory } from '@virtbus/shared';
import type { Entry } from '@virtbus/shared/bus';
import { entryOf, renewed, type DomainEntry, type NameEntry } from './entries';

export type Action =
  | { kind: 'create'; entry: DomainEntry }
  | { kind: 'update'; entry: DomainEntry; revision: number }
  | { kind: 'claim-name'; name: string; uuid: string }
  | { kind: 'forget'; uuid: string; name: string; epoch: number };

export type Trouble =
  | { kind: 'two-hosts'; uuid: string; hosts: [string, string]; epoch: number }
  | { kind: 'stale-host'; uuid: string; host: string; epoch: number; registered: { host: string; epoch: number } }
  | { kind: 'name-conflict'; name: string; uuids: [string, string] }
  | { kind: 'missing'; uuid: string; name: string; host: string };

export interface Decision {
  /** Summaries that may enter the projection. */
  adopt: DomainSummary[];
  actions: Action[];
  troubles: Trouble[];
}

export interface Registered {
  domains: ReadonlyMap<string, Entry<DomainEntry>>;
  /** By encoded name. */
  names: ReadonlyMap<string, Entry<NameEntry>>;
}

export function reconcile(inventory: Inventory, registered: Registered, now: number): Decision {
  const decision: Decision = { adopt: [], actions: [], troubles: [] };
  for (const domain of inventory.domains) consider(domain, registered, decision);
  absent(inventory, registered, now, decision);
  return decision;
}

function consider(domain: DomainSummary, { domains, names }: Registered, decision: Decision): void {
  const { uuid, name, host, driver, epoch } = domain;
  const entry = domains.get(uuid);
  const here = entry?.value.host === host && entry.value.driver === driver;
  if (entry && !here && entry.value.epoch > epoch) {
    const registeredAt = { host: entry.value.host, epoch: entry.value.epoch };
    decision.troubles.push({ kind: 'stale-host', uuid, host, epoch, registered: registeredAt });
    return;
  }
  if (entry && !here && entry.value.epoch === epoch) {
    decision.troubles.push({ kind: 'two-hosts', uuid, hosts: [entry.value.host, host], epoch });
    return;
  }
  decision.adopt.push(domain);
  if (!entry) decision.actions.push({ kind: 'create', entry: entryOf(domain) });
  else if (epoch >= entry.value.epoch && differs(entry.value, domain)) {
    decision.actions.push({ kind: 'update', entry: renewed(entry.value, domain), revision: entry.revision });
  }
  const holder = names.get(encodeToken(name));
  if (!holder) decision.actions.push({ kind: 'claim-name', name, uuid });
  else if (holder.value.uuid !== uuid && domains.get(holder.value.uuid)?.value.name === name) {
    decision.troubles.push({ kind: 'name-conflict', name, uuids: [holder.value.uuid, uuid] });
  }
}

const differs = (entry: DomainEntry, domain: DomainSummary): boolean =>
  entry.pending !== undefined ||
  entry.name !== domain.name ||
  entry.host !== domain.host ||
  entry.driver !== domain.driver ||
  entry.epoch !== domain.epoch;

/** Domains that the registry puts on this host and the host does not list. */
function absent({ status, domains, gone }: Inventory, registered: Registered, now: number, decision: Decision): void {
  const listed = new Set(domains.map(({ uuid }) => uuid));
  const left = new Map(gone.map(({ uuid, epoch }) => [uuid, epoch]));
  for (const { value: entry } of registered.domains.values()) {
    if (entry.host !== status.host || entry.driver !== status.driver || listed.has(entry.uuid)) continue;
    const { uuid, name, epoch, pending, host } = entry;
    const abandoned = pending !== undefined && pending.until < now;
    if (abandoned || (!pending && (left.get(uuid) ?? -1) >= epoch)) {
      decision.actions.push({ kind: 'forget', uuid, name, epoch });
    } else if (!pending) decision.troubles.push({ kind: 'missing', uuid, name, host });
  }
}
