/** The hosts that are being emptied: those that this copy drives, and those that a copy which is no more has left. */
import { hostCordon, listHosts, VirtError, type Drain } from '@virtbus/shared';
import { call, callService, Conflict, type Bus } from '@virtbus/shared/bus';
import type { Log } from '@virtbus/shared/log';
import type { Copies } from '../copies';
import type { Sagas } from '../sagas';
import type { Story } from '../story';
import { Emptying, eventsBetween } from './emptying';
import { told, type DrainEntry, type DrainJournal, type DrainRecord } from './record';
import { wishedAnew, type DrainWish } from './wish';

/** Between two looks for what others have left, milliseconds. */
const sweepMs = 3_000;

export interface DrainParts {
  bus: Bus;
  journal: DrainJournal;
  sagas: Sagas;
  copies: Copies;
  story: Story;
  patienceMs: number;
  log: Log;
}

export class Drains {
  private readonly driven = new Map<string, Emptying>();
  private timer: NodeJS.Timeout | undefined;
  private stopped = false;

  constructor(private readonly parts: DrainParts) {}

  async begin(): Promise<void> {
    await this.sweep();
    const again = (): void =>
      void this.sweep().catch((err: unknown) => this.parts.log.debug({ err }, 'no sweep of drains'));
    this.timer = setInterval(again, sweepMs);
    this.timer.unref();
  }

  stop(): void {
    this.stopped = true;
    clearInterval(this.timer);
    for (const one of this.driven.values()) one.stop();
  }

  /** Throws `HOST_NOT_FOUND`, `HOST_OFFLINE`, or `OPERATION_INVALID` for targets that cannot be. */
  async drain(host: string, wish: DrainWish, { id, cause }: { id: string; cause: string }): Promise<Drain> {
    await this.check(host, wish);
    await this.cordon(host, true);
    const entry = await this.write(host, (there) => {
      if (there?.state === 'running' && !there.stopping) return there.id === id ? there : wishedAnew(there, wish);
      if (there?.id === id) return there;
      if (there?.state === 'running') throw invalid(`the drain of host '${host}' is just being given up; try again`);
      const fresh = { id, host, cause, state: 'running', guests: [], begun: 0, stopping: false } as const;
      return { ...fresh, guests: [], ...wish, copy: this.parts.copies.own, started: Date.now() };
    });
    if (entry.value.id === id) for (const event of eventsBetween(undefined, entry.value)) this.parts.story.tell(event);
    this.drive(entry);
    return told(entry.value);
  }

  /** Give up the one that runs. Throws `OPERATION_INVALID` when none does. */
  async abort(host: string): Promise<Drain> {
    await this.driversOf(host);
    const entry = await this.write(host, (there) => {
      if (there?.state === 'running') return { ...there, stopping: true };
      throw invalid(`host '${host}' is not being drained`);
    });
    this.driven.get(host)?.look();
    return told(entry.value);
  }

  async undrain(host: string): Promise<Drain | undefined> {
    await this.driversOf(host);
    const there = await this.parts.journal.get(host);
    const drain = there?.value.state === 'running' ? await this.abort(host) : there && told(there.value);
    await this.cordon(host, false);
    return drain;
  }

  /** Throws `OPERATION_INVALID` for a host that was never drained. */
  async show(host: string): Promise<Drain> {
    const there = await this.parts.journal.get(host);
    if (there) return told(there.value);
    await this.driversOf(host);
    throw invalid(`host '${host}' was never drained`);
  }

  private async check(host: string, { to }: DrainWish): Promise<void> {
    const { hosts } = await call(this.parts.bus, listHosts, {});
    const rows = hosts.filter((row) => row.host === host);
    if (rows.length === 0) throw new VirtError('HOST_NOT_FOUND', { host });
    const away = rows.find(({ online }) => !online);
    if (rows.every(({ online }) => !online)) {
      throw new VirtError('HOST_OFFLINE', { host, service: `driver-${away!.driver}` });
    }
    for (const one of to ?? []) {
      if (one === host) throw invalid(`host '${host}' cannot be drained to itself`);
      if (!hosts.some((row) => row.host === one)) throw new VirtError('HOST_NOT_FOUND', { host: one });
    }
  }

  /** Throws `HOST_NOT_FOUND`. */
  private async driversOf(host: string): Promise<string[]> {
    const { hosts } = await call(this.parts.bus, listHosts, {});
    const rows = hosts.filter((row) => row.host === host);
    if (rows.length === 0) throw new VirtError('HOST_NOT_FOUND', { host });
    return rows.map(({ driver }) => driver);
  }

  private async cordon(host: string, cordoned: boolean): Promise<void> {
    await callService(this.parts.bus, 'domain', hostCordon, { host, cordoned });
  }

  /** Read, decide, write; again when another was first. */
  private async write(host: string, decide: (there: DrainRecord | undefined) => DrainRecord): Promise<DrainEntry> {
    const { journal } = this.parts;
    for (;;) {
      const there = await journal.get(host);
      const record = decide(there?.value);
      if (there && record === there.value) return there;
      try {
        return await (there ? journal.write(there, record) : journal.create(record));
      } catch (error) {
        if (!(error instanceof Conflict)) throw error;
      }
    }
  }

  private drive(entry: DrainEntry): void {
    const { host, copy } = entry.value;
    const { copies, ...parts } = this.parts;
    if (this.stopped || this.driven.has(host) || copy !== copies.own || isOver(entry)) return;
    const emptying = new Emptying(entry, { ...parts, copy, driversOf: (one) => this.driversOf(one) });
    this.driven.set(host, emptying);
    void emptying.run().finally(() => this.driven.delete(host));
  }

  private async sweep(): Promise<void> {
    const { journal, copies, log } = this.parts;
    for (const entry of await journal.all()) {
      const { host, copy } = entry.value;
      if (isOver(entry) || this.driven.has(host)) continue;
      if (copy !== copies.own) {
        if (await copies.isThere(copy)) continue;
        log.info({ host, copy }, 'going on with the drain of a copy that is gone');
        const taken = await journal.write(entry, { ...entry.value, copy: copies.own }).catch(yielding);
        if (taken) this.drive(taken);
      } else this.drive(entry);
    }
  }
}

const invalid = (detail: string): VirtError => new VirtError('OPERATION_INVALID', { detail });

const isOver = ({ value: { state, untold } }: DrainEntry): boolean => state !== 'running' && !untold;

/** Another copy was first. */
function yielding(error: unknown): undefined {
  if (!(error instanceof Conflict)) throw error;
}
