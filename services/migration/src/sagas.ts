/** All migrations: those that this copy drives, and those of the others, of which it takes over what a copy left that is no more. */
import { MigrationId, VirtError, type Migration, type MigrationOptions, type MigrationView } from '@virtbus/shared';
import { Conflict, type Bus } from '@virtbus/shared/bus';
import type { Log } from '@virtbus/shared/log';
import { firstMind, forget, giveUp, recall, type Mind } from '@virtbus/migration-saga';
import type { Copies } from './copies';
import { Drive } from './drive';
import { told, type Saga, type SagaEntry, type SagaJournal } from './journal';
import type { Parties } from './parties';
import type { Story } from './story';

/** Between two looks for what others have left, milliseconds. */
const sweepMs = 3_000;
/** For how long a migration is shown after its end, milliseconds. */
const keptMs = 86_400_000;

/** Steps that are taken once the guest runs on the target. */
const afterwards: ReadonlySet<Migration['step']> = new Set<Migration['step']>(['handover', 'recover', 'confirm']);

export class Sagas {
  private readonly drives = new Map<string, Drive>();
  private readonly known = new Map<string, SagaEntry>();
  private readonly waiting = new Map<string, (() => void)[]>();
  /** Why the journal could not be read when it was last looked at; undefined when it could. */
  trouble: string | undefined = 'the journal has not been read yet';
  private timer: NodeJS.Timeout | undefined;
  private stopped = false;

  constructor(
    private readonly bus: Bus,
    private readonly journal: SagaJournal,
    private readonly parties: Parties,
    private readonly copies: Copies,
    private readonly story: Story,
    private readonly patienceMs: number,
    private readonly log: Log,
  ) {}

  /** Know what there is, and go on with what nobody drives. */
  async begin(): Promise<void> {
    await this.sweep();
    const failed = (err: unknown): void => {
      this.trouble = err instanceof Error ? err.message : String(err);
      this.log.debug({ err }, 'no sweep');
    };
    this.timer = setInterval(() => void this.sweep().catch(failed), sweepMs);
    this.timer.unref();
    void this.follow();
  }

  stop(): void {
    this.stopped = true;
    clearInterval(this.timer);
    for (const drive of this.drives.values()) drive.stop();
  }

  all(): Saga[] {
    return [...this.known.values()].map(({ value }) => value).sort(latestFirst);
  }

  /** What users are shown of them: of those that have ended, what ended within a day. */
  recent(): Saga[] {
    return this.all().filter(({ ledger, ended }) => !ledger.closed || isRecent(ended));
  }

  /** By id, or of a domain, as the journal has it now. Throws `MIGRATION_NOT_FOUND`. */
  async find(target: string): Promise<Saga> {
    const id = meant(this.all(), target)?.id ?? target;
    const entry = MigrationId.safeParse(id).success ? await this.journal.get(id) : undefined;
    if (entry) return entry.value;
    // Another copy has just begun it.
    const found = meant((await this.journal.all()).map(({ value }) => value).sort(latestFirst), target);
    if (!found) throw new VirtError('MIGRATION_NOT_FOUND', { migration: target });
    return found;
  }

  show(saga: Saga): Migration {
    const progress = this.drives.get(saga.id)?.progress;
    return { ...told(saga), ...(progress && { progress }) };
  }

  /** With its progress also where another copy drives it, or nobody has looked yet: the source knows. */
  async look(saga: Saga): Promise<Migration> {
    const known = this.show(saga);
    if (known.progress || saga.ledger.settled || !saga.ledger.sourceAsked) return known;
    const progress = await this.parties.progress(saga);
    return { ...known, ...(progress && { progress }) };
  }

  /** Write it down and drive it. The same id again is the same migration. */
  async start(saga: Omit<Saga, 'copy' | 'started'>): Promise<Saga> {
    try {
      const entry = await this.journal.create({ ...saga, copy: this.copies.own, started: Date.now() });
      this.drive(entry, firstMind<MigrationView>(entry.value.ledger, { phase: 'absent' }));
      return entry.value;
    } catch (error) {
      if (!(error instanceof Conflict)) throw error;
      return (await this.journal.get(saga.id))!.value;
    }
  }

  /** Begun by hosts, and in no journal: written down, and driven to its end. Does nothing for one that is. */
  async adopt(saga: Omit<Saga, 'copy' | 'started'>): Promise<void> {
    if (this.known.has(saga.id)) return;
    try {
      const entry = await this.journal.create({ ...saga, copy: this.copies.own, started: Date.now() });
      this.log.warn(
        { migration: saga.id, domain: saga.domain },
        'going on with a migration that only its hosts know of',
      );
      this.drive(entry);
    } catch (error) {
      yielding(error);
    }
  }

  /**
   * A host that the fleet knows no more is not waited for, where all that is left is to tell it how a migration ended; one that is known again
   * is told.
   */
  async reckon(isKnown: (host: string) => boolean): Promise<void> {
    for (const entry of [...this.known.values()]) {
      const { owes } = entry.value.ledger;
      if (owes) await this.account(entry, isKnown(entry.value[owes].host)).catch(yielding);
    }
  }

  private async account(entry: SagaEntry, known: boolean): Promise<void> {
    const { id, ledger, copy } = entry.value;
    const { own } = this.copies;
    if (ledger.closed && known) {
      const open = await this.journal.write(entry, { ...entry.value, ledger: recall(ledger), copy: own });
      this.log.info(
        { migration: id, owes: ledger.owes },
        'a host that was forgotten is back: it is told how a migration ended',
      );
      this.story.skip(open);
      this.drive(open);
    } else if (!ledger.closed && !known && !ledger.forgotten && copy === own) {
      this.log.info(
        { migration: id, owes: ledger.owes },
        'a migration owes its end to a host that was forgotten: it is closed',
      );
      this.note(await this.journal.write(entry, { ...entry.value, ledger: forget(ledger) }));
    }
  }

  /** Resolves when it has ended, or the time is up. */
  async ended(id: string, signal: AbortSignal): Promise<Saga> {
    for (;;) {
      const saga = await this.find(id);
      if (saga.ledger.settled || signal.aborted) return saga;
      await new Promise<void>((resolve) => {
        this.waiting.set(id, [...(this.waiting.get(id) ?? []), resolve]);
        signal.addEventListener('abort', () => resolve(), { once: true });
      });
    }
  }

  /** Give it up. Throws `OPERATION_INVALID` when it is too late for that. */
  giveUp(target: string, targetIsOff: boolean): Promise<Saga> {
    return this.change(target, (saga) => {
      const { ledger } = saga;
      if (ledger.committed || afterwards.has(ledger.step)) throw invalid('the guest runs on the target already');
      const how = { as: 'cancelled', reason: 'it was given up', ...(targetIsOff && { targetIsOff }) } as const;
      return { ...saga, ledger: giveUp(ledger, how) };
    });
  }

  /** Other options from now on. */
  amend(target: string, options: Partial<MigrationOptions>): Promise<Saga> {
    return this.change(target, (saga) => ({ ...saga, options: { ...saga.options, ...options } }));
  }

  /** Throws `OPERATION_INVALID` when it has ended. Whoever drives it reads it again. */
  private async change(target: string, alter: (saga: Saga) => Saga): Promise<Saga> {
    const { id } = await this.find(target);
    for (;;) {
      const entry = await this.journal.get(id);
      if (!entry) throw new VirtError('MIGRATION_NOT_FOUND', { migration: target });
      const { settled } = entry.value.ledger;
      if (settled) throw invalid(`migration ${id} has ended: ${settled}`);
      try {
        const written = await this.journal.write(entry, alter(entry.value));
        this.note(written);
        return written.value;
      } catch (error) {
        if (!(error instanceof Conflict)) throw error;
      }
    }
  }

  private drive(entry: SagaEntry, first?: Mind<MigrationView>): void {
    const { id } = entry.value;
    this.note(entry);
    if (this.stopped || this.drives.has(id)) return;
    this.story.migration(entry);
    const options = {
      copy: this.copies.own,
      patienceMs: this.patienceMs,
      onWritten: (written: SagaEntry) => {
        this.note(written);
        this.story.migration(written);
      },
      told: () => this.story.told(),
      log: this.log,
    };
    const drive = new Drive(entry, this.journal, this.parties, options, first);
    this.drives.set(id, drive);
    void drive.run().finally(() => this.drives.delete(id));
  }

  private note(entry: SagaEntry): void {
    const { id, ledger } = entry.value;
    this.known.set(id, entry);
    this.drives.get(id)?.hear(entry.revision);
    if (!ledger.settled) return;
    for (const resolve of this.waiting.get(id) ?? []) resolve();
    this.waiting.delete(id);
  }

  /** What others write, as they write it. */
  private async follow(): Promise<void> {
    while (!this.stopped && !this.bus.nc.isClosed()) {
      try {
        for await (const { key, value, revision } of await this.journal.watch()) {
          // Of what was wiped and made again the revisions begin anew, and the sweep tells of it.
          if (value && revision > (this.known.get(key)?.revision ?? 0)) this.note({ key, value, revision });
          else if (!value && !this.drives.has(key)) this.known.delete(key);
        }
      } catch (err) {
        this.log.debug({ err }, 'the journal of migrations cannot be followed now');
      }
      await new Promise((resolve) => setTimeout(resolve, sweepMs).unref());
    }
  }

  private async sweep(): Promise<void> {
    for (const entry of await this.journal.all()) {
      const { id, ledger, copy, ended } = entry.value;
      const driven = this.drives.get(id);
      if (driven) {
        driven.hear(entry.revision);
        continue;
      }
      this.note(entry);
      if (ledger.closed) {
        // A host that comes back after more than a day has forgotten less than the one that did not go away.
        if (!ledger.owes && !isRecent(ended)) await this.journal.drop(entry).catch(yielding);
      } else if (copy === this.copies.own) this.drive(entry);
      else if (!(await this.copies.isThere(copy))) {
        this.log.info({ migration: id, copy }, 'going on with the migration of a copy that is gone');
        const taken = await this.journal.write(entry, { ...entry.value, copy: this.copies.own }).catch(yielding);
        if (taken) this.drive(taken);
      }
    }
    this.trouble = undefined;
  }
}

const isRecent = (ended: number | undefined): boolean => (ended ?? 0) + keptMs >= Date.now();

const latestFirst = (one: Saga, other: Saga): number => other.started - one.started;

/** Of a domain the one that is under way: a later one may have been refused because of it. Else the latest. */
function meant(latest: readonly Saga[], target: string): Saga | undefined {
  const ofDomain = latest.filter(({ domain, name }) => domain === target || name === target);
  return latest.find(({ id }) => id === target) ?? ofDomain.find(({ ledger }) => !ledger.settled) ?? ofDomain[0];
}

const invalid = (detail: string): VirtError => new VirtError('OPERATION_INVALID', { detail });

/** Another copy was first. */
function yielding(error: unknown): undefined {
  if (!(error instanceof Conflict)) throw error;
}
