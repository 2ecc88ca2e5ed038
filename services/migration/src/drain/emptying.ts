/**
 * Empties one host: look at who is there, follow those that move, send off the next as long as the limits allow, until nobody is
 * left who could go. Each turn begins with what is seen, so a copy that takes over goes on like the one before.
 */
import { driverInventory, hostDomains, VirtError, type DomainSummary, type DrainEvent } from '@virtbus/shared';
import { callDriver, callService, Conflict, newId, type Bus } from '@virtbus/shared/bus';
import type { Log } from '@virtbus/shared/log';
import { newLedger } from '@virtbus/migration-saga';
import type { Sagas } from '../sagas';
import type { Story } from '../story';
import { follow, type Seen } from './guests';
import { countsOf, guestTold, type DrainEntry, type DrainJournal, type DrainRecord, type Guest } from './record';
import { roomFor } from './room';
import { whereTo, type Way } from './where-to';

/** Between two turns, milliseconds. */
const everyMs = 500;

export interface EmptyingParts {
  bus: Bus;
  sagas: Sagas;
  journal: DrainJournal;
  story: Story;
  /** This copy of the service. */
  copy: string;
  /** Drivers of the host, as far as the fleet knows. */
  driversOf: (host: string) => Promise<string[]>;
  /** How long the host may be away before those that wait are given up, milliseconds. */
  patienceMs: number;
  log: Log;
}

export class Emptying {
  private wake: (() => void) | undefined;
  private stopped = false;
  /** Since when drivers of the host have not answered, on the clock of `performance.now()`. */
  private readonly silentSince = new Map<string, number>();

  constructor(
    private entry: DrainEntry,
    private readonly parts: EmptyingParts,
  ) {}

  get record(): DrainRecord {
    return this.entry.value;
  }

  /** Another has written, or there is reason to look now. */
  look(): void {
    this.wake?.();
  }

  stop(): void {
    this.stopped = true;
    this.look();
  }

  /** Resolves when it has ended, or is another's. */
  async run(): Promise<void> {
    while (!this.stopped) {
      try {
        if (!(await this.read())) return;
        if (this.record.state === 'running') await this.turn();
        if (this.record.state !== 'running') return await this.tellEnd();
      } catch (err) {
        if (!(err instanceof Conflict)) this.parts.log.warn({ err, host: this.record.host }, 'a drain waits');
      }
      await this.pause();
    }
  }

  /** What was lost is written again: nothing of a drain that runs is ever dropped. */
  private async read(): Promise<boolean> {
    const { journal, copy } = this.parts;
    this.entry = (await journal.get(this.record.host)) ?? (await journal.create(this.record));
    return this.record.copy === copy;
  }

  /** It is written down that its end is to be told until the stream has it: a copy that takes over tells it again, under the same id. */
  private async tellEnd(): Promise<void> {
    const { untold, ...record } = this.record;
    if (!untold) return;
    const { story } = this.parts;
    story.tell(endOf(record));
    await story.told();
    if (!this.stopped) await this.write(record);
  }

  private async turn(): Promise<void> {
    const seen = await this.see();
    const guests = follow(this.record.guests, seen);
    await this.write({ ...this.record, guests });
    if (this.record.stopping) return this.giveUp();
    for (const guest of this.record.guests.filter(({ state }) => state === 'waiting')) {
      const domain = seen.here?.find(({ uuid }) => uuid === guest.uuid);
      if (!domain) await this.lost(guest);
      else if (!(await this.send(guest, domain))) break;
    }
    const { waiting, moving } = countsOf(this.record.guests);
    // Of a driver that is silent for a moment nobody knows who is there.
    const hopeful = [...seen.silent].some((driver) => !this.isLost(driver));
    if (waiting + moving > 0 || this.arriving() || hopeful) return;
    await this.end([...seen.silent]);
  }

  private async see(): Promise<Seen> {
    const { bus, sagas, driversOf } = this.parts;
    const { host, guests, started } = this.record;
    const silent = new Set<string>();
    const here: DomainSummary[] = [];
    const drivers = new Set([...(await driversOf(host)), ...guests.map(({ driver }) => driver)]);
    for (const driver of drivers) {
      try {
        here.push(...(await callDriver(bus, { host, driver }, driverInventory, {})).domains);
      } catch {
        silent.add(driver);
      }
    }
    this.note(silent);
    const known = new Map(sagas.all().map((saga) => [saga.id, saga]));
    for (const { migration } of guests.filter(({ state }) => state === 'moving')) {
      const saga = migration === undefined ? undefined : await sagas.find(migration).catch(absent);
      if (saga) known.set(saga.id, saga);
    }
    return {
      ...{ here, silent, remembered: await this.remembered(silent) },
      migration: (id) => known.get(id),
      takenBy: (uuid) =>
        [...known.values()].find(({ domain, source, ledger, ended }) => {
          const since = (ended ?? 0) >= started;
          return domain === uuid && source.host === host && ledger.settled === 'completed' && since;
        }),
    };
  }

  private note(silent: ReadonlySet<string>): void {
    const now = performance.now();
    for (const driver of this.silentSince.keys()) if (!silent.has(driver)) this.silentSince.delete(driver);
    for (const driver of silent) if (!this.silentSince.has(driver)) this.silentSince.set(driver, now);
  }

  /** Guests run on without their driver, and only the fleet can name them then. That nothing is known ends no drain as `drained`. */
  private async remembered(silent: ReadonlySet<string>): Promise<DomainSummary[]> {
    const { host } = this.record;
    const known = [...silent].map((driver) =>
      this.domainsOf({ host, driver }).catch((err: unknown) => this.unknown(err)),
    );
    return (await Promise.all(known)).flat();
  }

  private async domainsOf(at: { host: string; driver: string }): Promise<DomainSummary[]> {
    return (await callService(this.parts.bus, 'domain', hostDomains, at)).domains;
  }

  private unknown(err: unknown): [] {
    this.parts.log.debug(
      { err, host: this.record.host },
      'the guests of a driver that does not answer cannot be named',
    );
    return [];
  }

  /** Whether a driver has not answered for longer than patience lasts. */
  private isLost(driver: string): boolean {
    const since = this.silentSince.get(driver);
    return since !== undefined && performance.now() - since > this.parts.patienceMs;
  }

  private offline(driver: string): string {
    return new VirtError('HOST_OFFLINE', { host: this.record.host, service: `driver-${driver}` }).message;
  }

  /** Its driver does not answer for it: after a while it is given up. */
  private async lost(guest: Guest): Promise<void> {
    if (!this.isLost(guest.driver)) return;
    await this.change(guest, { state: 'stays', reasons: [...guest.reasons, this.offline(guest.driver)] });
  }

  /** False when there is no room for another one now. */
  private async send(guest: Guest, domain: DomainSummary): Promise<boolean> {
    const way = await this.choose(guest, domain);
    if (way === 'full') return false;
    if (way === 'held') return true;
    if ('stays' in way) {
      const reasons = [...guest.reasons, ...way.stays];
      const nowhere = 'there is no other host that it could go to';
      await this.change(guest, { state: 'stays', reasons: reasons.length > 0 ? reasons : [nowhere] });
      return true;
    }
    const { id: drain, begun, cause } = this.record;
    const migration = `${drain.slice(0, 100)}_${begun + 1}`;
    const { to, options } = way;
    const { uuid, name, epoch } = to.domain;
    const going: Partial<Guest> = { state: 'moving', target: to.target.host, migration, epoch };
    await this.change(guest, going, { begun: begun + 1 });
    const { source, target } = to;
    await this.parts.sagas.start({
      ...{ id: migration, domain: uuid, name, epoch, source, target, options, ledger: newLedger(options), cause },
    });
    return true;
  }

  private async choose(guest: Guest, domain: DomainSummary): Promise<Way | 'held'> {
    const { bus, sagas } = this.parts;
    const { host, limits, options, to } = this.record;
    const room = roomFor(domain.uuid, host, limits, sagas.all());
    if (room === 'full' || room === 'held') return room;
    const { busy } = room;
    return whereTo(bus, domain, options, { among: to, except: [host, ...guest.failedOn], busy });
  }

  /** Whether somebody is on the way to this host: it is moved on once it is here. */
  private arriving(): boolean {
    const { host } = this.record;
    return this.parts.sagas.all().some(({ target, ledger }) => target.host === host && !ledger.settled);
  }

  private async giveUp(): Promise<void> {
    const moving = this.record.guests.filter(({ state }) => state === 'moving');
    // One that runs on its target already is let go on.
    for (const { migration } of moving) {
      const saga = await this.parts.sagas.find(migration!).catch(absent);
      if (saga && !saga.ledger.givenUp) await this.parts.sagas.giveUp(saga.id, false).catch(absent);
    }
    if (moving.length === 0) await this.write({ ...this.record, state: 'aborted', untold: true, ended: Date.now() });
  }

  /** Of drivers that are silent nobody knows whether all guests have left, whatever the fleet knows. */
  private async end(silent: readonly string[]): Promise<void> {
    const left = countsOf(this.record.guests).stays > 0 || silent.length > 0;
    const reasons = silent.map((driver) => this.offline(driver));
    const why = reasons.length > 0 ? { reasons } : {};
    const state = left ? 'incomplete' : 'drained';
    await this.write({ ...this.record, state, untold: true, ...why, ended: Date.now() });
  }

  private change(guest: Guest, change: Partial<Guest>, more: Partial<DrainRecord> = {}): Promise<void> {
    const guests = this.record.guests.map((one) => (one.uuid === guest.uuid ? { ...one, ...change } : one));
    return this.write({ ...this.record, ...more, guests });
  }

  private async write(record: DrainRecord): Promise<void> {
    const before = this.record;
    if (JSON.stringify(before) === JSON.stringify(record)) return;
    this.entry = await this.parts.journal.write(this.entry, record);
    for (const event of eventsBetween(before, record)) this.parts.story.tell(event);
  }

  private async pause(): Promise<void> {
    if (this.stopped) return;
    await new Promise<void>((resolve) => {
      this.wake = resolve;
      setTimeout(resolve, everyMs).unref();
    });
    this.wake = undefined;
  }
}

const absent = (): undefined => undefined;

const baseOf = ({ id, host, state, cause, guests }: DrainRecord) => ({
  ...({ entity: 'drain', time: new Date().toISOString(), commandId: cause, drain: id, host, state } as const),
  counts: countsOf(guests),
});

const endOf = (record: DrainRecord): DrainEvent => ({ ...baseOf(record), id: `${record.id}.ended`, type: 'ended' });

/** What is told of a change: that it has begun, and each guest whose state is another now. */
export function eventsBetween(before: DrainRecord | undefined, after: DrainRecord): DrainEvent[] {
  const base = baseOf(after);
  const was = new Map(before?.guests.map((guest) => [guest.uuid, guest.state]));
  const changed = after.guests.filter((guest) => guest.state !== 'waiting' && was.get(guest.uuid) !== guest.state);
  return [
    ...(before ? [] : [{ ...base, id: `${after.id}.begun`, type: 'begun' }]),
    ...changed.map((guest) => ({ ...base, id: newId(), type: `guest-${guest.state}`, guest: guestTold(guest) })),
  ];
}
