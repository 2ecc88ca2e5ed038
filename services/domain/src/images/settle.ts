/**
 * Bringing a host's books of images into line with what its drivers say: when a domain was defined, changed or has stopped,
 * when its disks stand on other images, when a driver comes back, when the fleet's leases were lost. Each copy of the service
 * does it; to be told twice changes nothing.
 *
 * A lease goes only on the driver's word at a later revision. A host that does not answer keeps what it holds, and is told
 * again later.
 */
import { isDeepStrictEqual } from 'node:util';
import {
  driverStorage,
  isVirtError,
  listBlockJobs,
  storageLeases,
  VirtError,
  type DomainEvent,
  type Inventory,
} from '@virtbus/shared';
import { callDriver, type Bus, type Entry } from '@virtbus/shared/bus';
import type { Log } from '@virtbus/shared/log';
import type { At } from '../hosts';
import type { FleetLease } from '../registry/entries';
import { inParallel } from '../registry/reconciler';
import { bringWord, type Look, type Settled } from './drivers-word';
import type { FleetLeases } from './fleet-leases';

/** Events after which a domain may use other images than before, or images that have changed; what starts was prepared. */
const telling: Readonly<Record<string, readonly string[]>> = {
  lifecycle: ['defined', 'undefined', 'stopped'],
  device: ['added', 'add-failed', 'removed', 'updated', 'update-failed'],
  config: ['device', 'autostart', 'managed-save', 'disk-size'],
  'block-job': ['completed', 'failed', 'canceled'],
  snapshot: ['created', 'deleted', 'reverted'],
  checkpoint: ['created', 'deleted'],
  job: ['completed', 'failed', 'cancelled'],
};

/** Until a domain is told of again, milliseconds. */
const pauseMs = 1_000;
/** The longest pause of one whose images storage cannot read for long: each look at them may keep it waiting. */
const unreadPauseMs = 60_000;
/** Looks at a domain that changes all the time, until its images are left as they are for now. */
const attempts = 5;

/** A domain that is being settled. */
interface Settling {
  /** Something has happened to it since. */
  again: boolean;
  /** Called when that is so. */
  wake: () => void;
  done: Promise<void>;
}

interface Waiting {
  at: At;
  uuid: string;
  /** By `performance.now()`. */
  due: number;
}

/** A domain that moves is settled on both hosts. */
const keyOf = ({ host, driver }: At, uuid: string): string => `${host} ${driver} ${uuid}`;

export class Settler {
  /** Domains that are being settled, by host and domain. */
  private readonly busy = new Map<string, Settling>();
  /** Domains to be told of again, by host and domain: their host did not answer, or a command was in progress. */
  private readonly waiting = new Map<string, Waiting>();
  /** How long each domain with images that cannot be read was left alone last, by host and domain, milliseconds. */
  private readonly unread = new Map<string, number>();
  /** Hosts that did not answer when they were asked last. */
  private readonly away = new Set<string>();
  private timer: NodeJS.Timeout | undefined;
  /** What the fleet was told last that a domain holds, where, and under which epoch. */
  private readonly told = new Map<string, { host: string; epoch: number; holds: Settled['holds'] }>();

  constructor(
    private readonly bus: Bus,
    private readonly leases: FleetLeases,
    private readonly log: Log,
  ) {}

  happened({ class: kind, type, domain }: DomainEvent): void {
    if (!telling[kind]?.includes(type)) return;
    void this.settle(domain, domain.uuid);
  }

  /** A driver is there: what its domains hold is looked at, and whoever was defined or has left while none of us was there. */
  async inventoried({ status, ...told }: Inventory): Promise<void> {
    try {
      const { holders, standing } = await this.booksOf(status.host);
      const its = holders.flatMap(({ domain, driver }) => (driver === status.driver ? domain : []));
      // A storage service of the last release does not tell.
      const missed = standing ? missedBy(new Set(standing), told) : [];
      await inParallel([...new Set([...its, ...missed])], (uuid) => this.settle(status, uuid));
    } catch (error) {
      this.trouble(error, { host: status.host });
    }
  }

  /**
   * The fleet's leases may have been lost, or be those of another time: make them again from the books of the hosts. What a
   * domain that moves has on its other host stays.
   */
  async restore(hosts: readonly string[]): Promise<void> {
    // Before the books: what a host writes into its book first, and has not there now, is past.
    const before = await this.leases.all();
    await inParallel(hosts, async (host) => {
      try {
        const its = before.filter(({ value: { holder } }) => holder.host === host);
        const spared = await this.lookForLost(host, its, await this.heldAt(host));
        const held = await this.heldAt(host);
        const booked = new Set(held.flatMap(({ domain, leases }) => leases.map((one) => `${domain} ${one.identity}`)));
        const past = its.filter(
          ({ value: { identity, holder } }) =>
            !spared.has(holder.domain) && !booked.has(`${holder.domain} ${identity}`),
        );
        await this.leases.dropAsRead(past);
        for (const { leases, revision: _revision, taken: _taken, ...holder } of held) {
          for (const { lease, holder: other } of await this.leases.take(holder, leases, true)) {
            this.collision(lease.path, [holder.name, other.name]);
          }
        }
      } catch (error) {
        this.trouble(error, { host });
      }
    });
  }

  /**
   * Domains of which their host's book has nothing at all: it may be the book that was lost, so their drivers are asked.
   * @returns those whose drivers do not say
   */
  private async lookForLost(
    host: string,
    entries: readonly Entry<FleetLease>[],
    held: readonly { domain: string }[],
  ): Promise<ReadonlySet<string>> {
    const known = new Set(held.map(({ domain }) => domain));
    const lost = new Map(
      entries.flatMap(({ value: { holder } }) => (known.has(holder.domain) ? [] : [[holder.domain, holder.driver]])),
    );
    const silent = new Set<string>();
    await inParallel([...lost], async ([domain, driver]) => {
      try {
        await this.settleOnce({ host, driver }, domain, {
          again: false,
          wake: () => undefined,
          done: Promise.resolve(),
        });
      } catch (error) {
        silent.add(domain);
        this.trouble(error, { domain });
      }
    });
    return silent;
  }

  private async heldAt(host: string) {
    return (await this.booksOf(host)).holders;
  }

  private booksOf(host: string) {
    return callDriver(this.bus, { host, driver: 'storage' }, storageLeases, {});
  }

  /** Resolves when its host's storage knows what the domain stands on now; one that does not answer is told later. */
  settle(at: At, uuid: string): Promise<void> {
    const key = keyOf(at, uuid);
    const under = this.busy.get(key);
    if (under) {
      under.again = true;
      under.wake();
      return under.done;
    }
    const settling: Settling = { again: false, wake: () => undefined, done: Promise.resolve() };
    this.busy.set(key, settling);
    return (settling.done = this.untilSettled(at, uuid, settling));
  }

  private async untilSettled(at: At, uuid: string, settling: Settling): Promise<void> {
    try {
      do {
        settling.again = false;
        await this.attempt(at, uuid, settling);
      } while (settling.again);
    } finally {
      this.busy.delete(keyOf(at, uuid));
    }
  }

  /** What fails is tried later, but at once where something has happened meanwhile: then its host is there. */
  private async attempt(at: At, uuid: string, settling: Settling): Promise<void> {
    try {
      await this.settleOnce(at, uuid, settling);
    } catch (error) {
      this.trouble(error, { domain: uuid });
      if (!isVirtError(error) || !notReached.has(error.code)) return;
      this.away.add(at.host);
      if (!settling.again) this.later(at, uuid);
    }
  }

  private later(at: At, uuid: string, inMs = pauseMs): void {
    this.waiting.set(keyOf(at, uuid), { at, uuid, due: performance.now() + inMs });
    this.timer ??= setTimeout(() => void this.again(), pauseMs).unref();
  }

  private async again(): Promise<void> {
    // A timer may be a moment early by this clock.
    const now = performance.now() + pauseMs / 10;
    const due = [...this.waiting.values()].filter((one) => one.due <= now);
    for (const { at, uuid } of due) this.waiting.delete(keyOf(at, uuid));
    this.away.clear();
    const hosts = [...new Set(due.map(({ at }) => at.host))];
    await inParallel(hosts, (host) => this.againAt(due.filter(({ at }) => at.host === host)));
    this.timer = undefined;
    if (this.waiting.size > 0) this.timer = setTimeout(() => void this.again(), pauseMs).unref();
  }

  /** A host that does not answer for one of its domains is not asked for the others. */
  private async againAt([first, ...others]: Waiting[]): Promise<void> {
    if (!first) return;
    await this.settle(first.at, first.uuid);
    if (!this.away.has(first.at.host)) await inParallel(others, ({ at, uuid }) => this.settle(at, uuid));
    else for (const { at, uuid } of others) this.later(at, uuid);
  }

  private async settleOnce(at: At, uuid: string, settling: Settling): Promise<void> {
    let look = await this.look(at, uuid, settling);
    // What is leased to a guest on its way stays leased, and is the source's for the fleet: that it has come is told by events.
    if (look.incoming) return;
    if (!look.known) this.unread.delete(keyOf(at, uuid));
    for (let attempt = 1; look.known && attempt <= attempts; attempt++) {
      const { differs, unread = [] } = await this.tell(at, uuid, look, false);
      const isBusy = isInCommand(look);
      // A command that is not done holds all that was taken for it: what it goes on to use is told when it is.
      if (isBusy) this.later(at, uuid);
      else if (unread.length > 0) this.later(at, uuid, this.pauseOfUnread(keyOf(at, uuid)));
      if (unread.length === 0) this.unread.delete(keyOf(at, uuid));
      // Images that a command or a job is at may be ahead of the document; the end of either brings us here again.
      if (differs.length === 0 || isBusy || (await this.atWork(at, uuid, differs))) return;
      const { revision } = look;
      look = await this.look(at, uuid, settling);
      // Nothing has happened since before the images were read: it is true.
      if (look.known && look.revision === revision && !isInCommand(look)) {
        await this.tell(at, uuid, look, true);
        return;
      }
    }
  }

  /** Twice as long each time. */
  private pauseOfUnread(key: string): number {
    const pause = Math.min(2 * (this.unread.get(key) ?? pauseMs / 2), unreadPauseMs);
    this.unread.set(key, pause);
    return pause;
  }

  /**
   * Asked anew when something happens before the answer is there: it would be of before, and a driver that was killed over
   * the question never gives one.
   */
  private async look(at: At, uuid: string, settling: Settling): Promise<Look> {
    for (;;) {
      const changed = new Promise<undefined>((resolve) => (settling.wake = () => resolve(undefined)));
      const answer = callDriver(this.bus, at, driverStorage, {}, { domain: uuid });
      answer.catch(() => undefined);
      const look = await Promise.race([answer, changed]);
      if (look) return look;
    }
  }

  /** Storage gets the driver's word, the fleet what comes of it. */
  private async tell({ host, driver }: At, uuid: string, look: Look, sure: boolean): Promise<Settled> {
    const { bus, leases } = this;
    const { name, epoch } = look;
    const settled = await bringWord({ bus, leases }, { host, driver }, look, { sure }, { domain: uuid });
    const { holds } = settled;
    await leases.drop({ domain: uuid, host }, this.goneSince(uuid, host, holds));
    const told = { host, epoch, holds };
    if (isDeepStrictEqual(told, this.told.get(uuid) ?? { ...told, holds: [] })) return settled;
    const met = await leases.hold({ domain: uuid, name, host, driver, epoch }, holds);
    for (const { lease, holder } of met) this.collision(lease.path, [name, holder.name]);
    if (holds.length > 0) this.told.set(uuid, told);
    else this.told.delete(uuid);
    return settled;
  }

  /** What it held there when the fleet was told last, and holds no longer: the answer that said so may have been lost. */
  private goneSince(uuid: string, host: string, holds: Settled['holds']): string[] {
    const before = this.told.get(uuid);
    const still = new Set(identitiesOf(holds));
    return before?.host === host ? identitiesOf(before.holds).filter((identity) => !still.has(identity)) : [];
  }

  private async atWork(at: At, uuid: string, targets: readonly string[]): Promise<boolean> {
    try {
      const { jobs } = await callDriver(this.bus, at, listBlockJobs, {}, { domain: uuid });
      return jobs.some(({ disk }) => targets.includes(disk));
    } catch (error) {
      if (isVirtError(error, 'UNSUPPORTED_BY_DRIVER') || isVirtError(error, 'OPERATION_INVALID')) return false;
      throw error;
    }
  }

  private collision(path: string, domains: readonly string[]): void {
    this.log.error({ path, domains }, 'two domains hold one image');
  }

  private trouble(error: unknown, of: Record<string, string>): void {
    this.log.debug({ ...of, reason: VirtError.from(error).message }, 'leases stay as they are for now');
  }
}

/** What a command has taken is of no disk until it is done. */
const isInCommand = ({ uses }: Look): boolean => uses.some(({ target }) => target === undefined);

/** Domains of a driver that storage knows nothing of, though they are defined with images, and those that it still knows of. */
function missedBy(standing: ReadonlySet<string>, { domains, gone }: Pick<Inventory, 'domains' | 'gone'>): string[] {
  const here = new Set(domains.map(({ uuid }) => uuid));
  return [
    ...domains.flatMap(({ uuid, persistent, images }) => (persistent && images && !standing.has(uuid) ? uuid : [])),
    ...gone.flatMap(({ uuid }) => (standing.has(uuid) && !here.has(uuid) ? uuid : [])),
  ];
}

const identitiesOf = (holds: Settled['holds']): string[] =>
  holds.flatMap(({ leases }) => leases.map(({ identity }) => identity));

/** Failures that tell of the way to a host, not of the domain. */
const notReached: ReadonlySet<string> = new Set(['HOST_OFFLINE', 'OPERATION_TIMEOUT', 'RPC', 'SERVICE_OFFLINE']);
