/**
 * What one copy of the service believes about every domain: the answer to `list` and `get`, and where a call goes.
 *
 * Fed by inventories, events and the answers of hosts, in any order: of two summaries the one of the higher epoch wins,
 * and within an epoch that of the higher revision. What has gone leaves a tombstone, so that an inventory or event that
 * was on its way does not bring it back. Kept sorted by name as it changes; nothing here speaks to the bus.
 */
import { canonicalUuid, isActive, isNewer, type DomainSummary, type Version } from '@virtbus/shared';

/** Where and in which version a domain left. */
export interface Tombstone extends Version {
  uuid: string;
  name: string;
  host: string;
  driver: string;
  left: true;
}

/**
 * What a summary did to the projection. `two-hosts`: it names another host under the same epoch; the one that was here
 * first stays.
 */
export type Applied =
  | { kind: 'stale' }
  | { kind: 'new' }
  | { kind: 'changed'; before: DomainSummary }
  | { kind: 'gone'; before: DomainSummary | undefined }
  | { kind: 'two-hosts'; kept: DomainSummary };

/** How many tombstones are kept; the oldest go first. */
const maxTombstones = 20_000;

export class Projection {
  private readonly byUuid = new Map<string, DomainSummary>();
  private readonly byName = new Map<string, Set<string>>();
  private readonly counts = new Map<string, { domains: number; active: number }>();
  private readonly tombstones = new Map<string, Tombstone>();
  private readonly departedNames = new Map<string, string>();
  private sorted: DomainSummary[] = [];

  /** Sequence in the events stream that this includes. */
  asOf = 0;

  /** All domains by name. */
  get domains(): readonly DomainSummary[] {
    return this.sorted;
  }

  get(uuid: string): DomainSummary | undefined {
    return this.byUuid.get(uuid);
  }

  named(name: string): DomainSummary | undefined {
    const [first] = this.byName.get(name) ?? [];
    return first === undefined ? undefined : this.byUuid.get(first);
  }

  /** By uuid, else by name, as virsh looks a domain up. */
  find(target: string): DomainSummary | undefined {
    const uuid = canonicalUuid(target);
    return (uuid === undefined ? undefined : this.byUuid.get(uuid)) ?? this.named(target);
  }

  /** The version a domain left in, if it did. */
  tombstone(uuid: string): Version | undefined {
    return this.tombstones.get(uuid);
  }

  /** Where a domain that has left lived: its host still has the answers it gave. */
  departed(target: string): Tombstone | undefined {
    return this.tombstones.get(canonicalUuid(target) ?? this.departedNames.get(target) ?? '');
  }

  /** How many domains are believed to live under a driver. */
  countOf(host: string, driver: string): { domains: number; active: number } {
    return this.counts.get(`${host}.${driver}`) ?? { domains: 0, active: 0 };
  }

  apply(summary: DomainSummary): Applied {
    const before = this.byUuid.get(summary.uuid);
    const tombstone = this.tombstones.get(summary.uuid);
    if (tombstone && !isNewer(summary, tombstone)) return { kind: 'stale' };
    if (before && before.host !== summary.host && before.epoch === summary.epoch) {
      return { kind: 'two-hosts', kept: before };
    }
    if (before && !isNewer(summary, before)) return { kind: 'stale' };
    if (hasLeft(summary)) {
      this.bury(summary);
      return { kind: 'gone', before };
    }
    if (before) this.remove(before);
    this.insert(summary);
    this.tombstones.delete(summary.uuid);
    return before ? { kind: 'changed', before } : { kind: 'new' };
  }

  /** The domain left its host at this version, unless something newer is known of it. */
  bury(left: Omit<Tombstone, 'left' | 'name'> & { name?: string }): void {
    const { uuid, host, driver, epoch, revision } = left;
    const before = this.byUuid.get(uuid);
    const known = this.tombstones.get(uuid);
    if ((before && isNewer(before, left)) || (known && !isNewer(left, known))) return;
    if (before) this.remove(before);
    const name = left.name ?? before?.name ?? '';
    this.tombstones.delete(uuid);
    this.tombstones.set(uuid, { uuid, name, host, driver, epoch, revision, left: true });
    this.departedNames.delete(name);
    this.departedNames.set(name, uuid);
    trim(this.tombstones);
    trim(this.departedNames);
  }

  private insert(summary: DomainSummary): void {
    this.byUuid.set(summary.uuid, summary);
    const holders = this.byName.get(summary.name);
    if (holders) holders.add(summary.uuid);
    else this.byName.set(summary.name, new Set([summary.uuid]));
    this.sorted.splice(this.position(summary), 0, summary);
    this.count(summary, 1);
  }

  private remove(summary: DomainSummary): void {
    this.byUuid.delete(summary.uuid);
    const holders = this.byName.get(summary.name);
    holders?.delete(summary.uuid);
    if (holders?.size === 0) this.byName.delete(summary.name);
    this.sorted.splice(this.position(summary), 1);
    this.count(summary, -1);
  }

  private count(summary: DomainSummary, by: 1 | -1): void {
    const key = `${summary.host}.${summary.driver}`;
    const now = this.counts.get(key) ?? { domains: 0, active: 0 };
    this.counts.set(key, { domains: now.domains + by, active: now.active + (isActive(summary.state) ? by : 0) });
  }

  /** Where a domain is, or would be, among the sorted. */
  private position(summary: Pick<DomainSummary, 'name' | 'uuid'>): number {
    return positionOf(this.sorted, summary);
  }
}

/** The index of the first domain that is not before `at` in the order of names (and uuids, where names are equal). */
export function positionOf(sorted: readonly DomainSummary[], at: Pick<DomainSummary, 'name' | 'uuid'>): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    const there = sorted[middle]!;
    if (there.name < at.name || (there.name === at.name && there.uuid < at.uuid)) low = middle + 1;
    else high = middle;
  }
  return low;
}

function trim(oldestFirst: Map<string, unknown>): void {
  if (oldestFirst.size <= maxTombstones) return;
  const [oldest] = oldestFirst.keys();
  oldestFirst.delete(oldest!);
}

/** Neither a definition nor a guest is left. */
export function hasLeft({ persistent, state }: Pick<DomainSummary, 'persistent' | 'state'>): boolean {
  return !persistent && !isActive(state);
}
