/**
 * The registry in JetStream: which domains exist, their names, and on which host each one lives. This service is its only
 * writer; its copies meet in compare-and-set writes.
 *
 * Safety never rests on it: a driver acts only under the epoch on its own disk. A stream or bucket that is missing is made
 * again on the way, and the call repeated once.
 */
import { buckets, encodeToken, HostStatus, VirtError, type DomainSummary } from '@virtbus/shared';
import {
  Conflict,
  ensureJetStream,
  isMissing,
  Table,
  type Bus,
  type Entry,
  type JetStreamOptions,
} from '@virtbus/shared/bus';
import { hostKey } from '../hosts';
import { Cordon, DomainEntry, entryOf, FleetLease, NameEntry, renewed } from './entries';

export interface Tables {
  domains: Table<DomainEntry>;
  names: Table<NameEntry>;
  hosts: Table<HostStatus>;
  /** In the same bucket: a key names a host there, where those of drivers have a dot. */
  cordons: Table<Cordon>;
  leases: Table<FleetLease>;
}

/** Hosts that the registry knows are written again when what it knows is older than this, milliseconds. */
const hostRefreshMs = 60_000;

export class Registry {
  private opening: Promise<Tables> | undefined;
  private readonly hostsWritten = new Map<string, { startedAt: string; at: number }>();

  constructor(
    readonly bus: Bus,
    private readonly options: JetStreamOptions,
  ) {}

  /** Make what is missing, and open the buckets anew. */
  async ensure(): Promise<void> {
    await ensureJetStream(this.bus, this.options);
    this.opening = undefined;
    this.hostsWritten.clear();
  }

  /** Work on the buckets. Throws `RPC` when JetStream cannot be reached, `Conflict` when another copy was first. */
  async on<R>(work: (tables: Tables) => Promise<R>): Promise<R> {
    try {
      return await work(await this.tables());
    } catch (error) {
      if (error instanceof Conflict || error instanceof VirtError) throw error;
      if (!isAbsent(error)) throw unreachable(error);
    }
    try {
      await this.ensure();
      return await work(await this.tables());
    } catch (error) {
      if (error instanceof Conflict || error instanceof VirtError) throw error;
      throw unreachable(error);
    }
  }

  domain(uuid: string): Promise<Entry<DomainEntry> | undefined> {
    return this.on(({ domains }) => domains.get(uuid));
  }

  name(name: string): Promise<Entry<NameEntry> | undefined> {
    return this.on(({ names }) => names.get(encodeToken(name)));
  }

  /** The domain that a name stands for. */
  async named(name: string): Promise<Entry<DomainEntry> | undefined> {
    const holder = await this.name(name);
    return holder && this.domain(holder.value.uuid);
  }

  /** The domain has left its host for good: its entry and its name go, unless they speak of a later life. */
  async forget(left: Pick<DomainSummary, 'uuid' | 'name' | 'epoch'>): Promise<void> {
    await this.on(async ({ domains }) => {
      const entry = await domains.get(left.uuid);
      if (entry && entry.value.epoch <= left.epoch) await yielding(() => domains.delete(left.uuid, entry.revision));
    });
    if (!(await this.domain(left.uuid))) await this.release(left.name, left.uuid);
  }

  /** Let go of a name if this domain holds it. */
  async release(name: string, uuid: string): Promise<void> {
    await this.on(async ({ names }) => {
      const key = encodeToken(name);
      const entry = await names.get(key);
      if (entry?.value.uuid === uuid) await yielding(() => names.delete(key, entry.revision));
    });
  }

  /** The domain has another name or another home now: its host said so. */
  async follow(before: DomainSummary, after: DomainSummary): Promise<void> {
    await this.on(async ({ domains, names }) => {
      if (before.name !== after.name) {
        await yielding(() => names.create(encodeToken(after.name), { uuid: after.uuid, until: 0 }));
      }
      const entry = await domains.get(after.uuid);
      if (!entry) await yielding(() => domains.create(after.uuid, entryOf(after)));
      else if (entry.value.epoch <= after.epoch) {
        await yielding(() => domains.update(after.uuid, renewed(entry.value, after), entry.revision));
      }
    });
    if (before.name !== after.name) await this.release(before.name, after.uuid);
  }

  /** Note that a host exists, now and then, so that it is still listed when it is away. */
  async noteHost(status: HostStatus): Promise<void> {
    const key = hostKey(status);
    const written = this.hostsWritten.get(key);
    const now = performance.now();
    if (written && written.startedAt === status.startedAt && now - written.at < hostRefreshMs) return;
    this.hostsWritten.set(key, { startedAt: status.startedAt, at: now });
    await this.on(async ({ hosts }) => {
      const entry = await hosts.get(key);
      await yielding(() => (entry ? hosts.update(key, status, entry.revision) : hosts.create(key, status)));
    });
  }

  /** A host is gone for good: nothing of it is kept. */
  async forgetHost(host: string): Promise<void> {
    await this.on(async ({ hosts, cordons }) => {
      for (const { key, value, revision } of await hosts.entries()) {
        if (value.host !== host) continue;
        this.hostsWritten.delete(key);
        await yielding(() => hosts.delete(key, revision));
      }
      const cordon = await cordons.get(host);
      if (cordon) await yielding(() => cordons.delete(host, cordon.revision));
    });
  }

  private tables(): Promise<Tables> {
    this.opening ??= this.open().catch((error: unknown) => {
      this.opening = undefined;
      throw error;
    });
    return this.opening;
  }

  private async open(): Promise<Tables> {
    const [domains, names, hosts, cordons, leases] = await Promise.all([
      Table.open(this.bus, buckets.domains, DomainEntry),
      Table.open(this.bus, buckets.names, NameEntry),
      Table.open(this.bus, buckets.hosts, HostStatus),
      Table.open(this.bus, buckets.hosts, Cordon),
      Table.open(this.bus, buckets.leases, FleetLease),
    ]);
    return { domains, names, hosts, cordons, leases };
  }
}

/** A write that another copy may do as well: whoever is first has done it for both. Tells whether it was us. */
export async function yielding(write: () => Promise<unknown>): Promise<boolean> {
  try {
    await write();
    return true;
  } catch (error) {
    if (error instanceof Conflict) return false;
    throw error;
  }
}

/** A deleted stream answers 404 to its administration, and nobody (503) to reads and writes. */
function isAbsent(error: unknown): boolean {
  return isMissing(error) || (error as { code?: string }).code === '503';
}

function unreachable(cause: unknown): VirtError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new VirtError('RPC', { detail: `the registry in JetStream cannot be reached: ${why}` }, { cause });
}
