/**
 * Leases on images, for all hosts: two hosts that reach the same image meet here. The hosts' own books are the truth; this
 * is made again from them when it is lost.
 *
 * Whoever takes an image writes first and looks then: of two that want what they cannot share at least one sees the other.
 * One key for the domain that has an image alone, one a domain for those who share it, so that a thousand guests on one
 * golden image do not queue for one entry.
 */
import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { storageLeases, type ImageLease, type LeaseConflict, type LeaseHolder } from '@virtbus/shared';
import { callDriver, Conflict, type Bus, type Entry } from '@virtbus/shared/bus';
import type { FleetLease } from '../registry/entries';
import { yielding, type Registry, type Tables } from '../registry/registry';

type Leases = Tables['leases'];

/** What a domain holds under one claim. */
export interface Held {
  claim: string;
  leases: readonly ImageLease[];
}

/** A domain on one host: while it moves it is on two. */
type On = Pick<LeaseHolder, 'domain' | 'host'>;

/** Whether what the same domain has written before is written over. */
type Over = (before: LeaseHolder) => boolean;

export class FleetLeases {
  constructor(
    private readonly registry: Registry,
    private readonly bus: Bus,
  ) {}

  /**
   * Take them all; those who are in the way are told, and then it is the caller's to let go again.
   * @param joins what the domain has on another host stays so: it is on its way, and may come back
   */
  async take(holder: LeaseHolder, leases: readonly ImageLease[], joins = false): Promise<LeaseConflict[]> {
    const wanted = distinct(leases);
    const over: Over = ({ host }) => !joins || host === holder.host;
    return this.registry.on(async (tables) => {
      const met = await Promise.all(wanted.map((lease) => takeOne(tables.leases, holder, lease, over)));
      return met.flat();
    });
  }

  /**
   * What the domain holds by now: an image that it had alone may be one that it shares. Those who are in the way all the
   * same are told. What the domain has been given under a higher epoch, on the host that it moves to, stays.
   */
  async hold(holder: Omit<LeaseHolder, 'claim'>, held: readonly Held[]): Promise<LeaseConflict[]> {
    const wanted = distinct(held.flatMap(({ claim, leases }) => leases.map((lease) => ({ ...lease, claim }))));
    const shares = wanted.filter(({ mode }) => mode === 'shared').map(({ identity }) => alone(identity));
    const [met, before] = await this.registry.on(async ({ leases: table }) => {
      const taking = wanted.map(({ claim, ...lease }) =>
        takeOne(table, { ...holder, claim }, lease, ({ epoch }) => epoch <= holder.epoch),
      );
      return [await Promise.all(taking), await entriesOf(table, shares, holder)] as const;
    });
    // A command on its way may have one of them alone: that is not told of as held.
    await this.dropUnless(before, holder, ({ mode }) => mode === 'exclusive');
    return met.flat();
  }

  /** Every lease there is. */
  all(): Promise<Entry<FleetLease>[]> {
    return this.registry.on(({ leases }) => leases.entries());
  }

  /** Drop leases as they were read; one that was written since stays. */
  async dropAsRead(entries: readonly Entry<FleetLease>[]): Promise<void> {
    await this.registry.on(({ leases }) => deleteAsRead(leases, entries));
  }

  /**
   * The domain has let these images go on that host; what it has on another one by now stays, and so does what it has taken
   * again since: that is in its host's book before it is here.
   */
  async drop({ domain, host }: On, identities: readonly string[]): Promise<void> {
    if (identities.length === 0) return;
    const keys = identities.flatMap((identity) => [alone(identity), shared(identity, domain)]);
    const found = await this.registry.on(({ leases }) => entriesOf(leases, keys, { domain, host }));
    await this.dropUnless(found, { domain, host }, () => true);
  }

  /** Drop what was read before the host's book was asked, but not that of which the book has such a lease. */
  private async dropUnless(
    entries: readonly Entry<FleetLease>[],
    { domain, host }: On,
    holds: (lease: ImageLease) => boolean,
  ): Promise<void> {
    if (entries.length === 0) return;
    const { holders } = await callDriver(this.bus, { host, driver: 'storage' }, storageLeases, { domain });
    const held = new Set(holders.flatMap(({ leases }) => leases.filter(holds).map(({ identity }) => identity)));
    await this.dropAsRead(entries.filter(({ value }) => !held.has(value.identity)));
  }
}

async function deleteAsRead(table: Leases, entries: readonly Entry<FleetLease>[]): Promise<void> {
  await Promise.all(entries.map(({ key, revision }) => yielding(() => table.delete(key, revision))));
}

/** Entries of the domain on that host. */
async function entriesOf(table: Leases, keys: readonly string[], { domain, host }: On): Promise<Entry<FleetLease>[]> {
  const found = await Promise.all(keys.map((key) => table.get(key)));
  return found.flatMap((entry) =>
    entry?.value.holder.domain === domain && entry.value.holder.host === host ? [entry] : [],
  );
}

async function takeOne(table: Leases, holder: LeaseHolder, lease: ImageLease, over: Over): Promise<LeaseConflict[]> {
  const { identity, path } = lease;
  const entry = { identity, path, holder };
  const against = (others: (FleetLease | undefined)[]): LeaseConflict[] =>
    others.flatMap((other) =>
      other && other.holder.domain !== holder.domain ? [{ lease, holder: other.holder }] : [],
    );
  if (lease.mode === 'shared') {
    await put(table, shared(identity, holder.domain), entry, over);
    return against([(await table.get(alone(identity)))?.value]);
  }
  const before = await put(table, alone(identity), entry, over);
  if (before) return against([before]);
  return against((await table.below(`${token(identity)}.s`)).map(({ value }) => value));
}

/** Write an entry of this domain's; what another domain has written there stays, and is given back. */
async function put(table: Leases, key: string, entry: FleetLease, over: Over): Promise<FleetLease | undefined> {
  for (;;) {
    try {
      await table.create(key, entry);
      return undefined;
    } catch (error) {
      if (!(error instanceof Conflict)) throw error;
    }
    const there = await table.get(key);
    if (there && there.value.holder.domain !== entry.holder.domain) return there.value;
    if (there && (!over(there.value.holder) || isDeepStrictEqual(there.value, entry))) return undefined;
    if (there && (await yielding(() => table.update(key, entry, there.revision)))) return undefined;
  }
}

const token = (identity: string): string => createHash('sha256').update(identity).digest('hex').slice(0, 40);
const alone = (identity: string): string => `${token(identity)}.x`;
const shared = (identity: string, domain: string): string => `${token(identity)}.s.${domain}`;

/** One lease an image: a domain that has it alone and shares it too has it alone. */
function distinct<L extends ImageLease>(leases: readonly L[]): L[] {
  const found = new Map<string, L>();
  for (const lease of leases) {
    if (found.get(lease.identity)?.mode !== 'exclusive') found.set(lease.identity, lease);
  }
  return [...found.values()];
}
