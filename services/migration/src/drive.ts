/**
 * Drives one migration: decide, write down, ask, learn, until nobody is owed anything. All decisions are the state
 * machine's (`@virtbus/migration-saga`); here are time and the journal.
 *
 * Two copies that drive the same migration do no harm, they only get in each other's way: who is not the last to write stops.
 */
import { migrationPostcopy, migrationSuspend, type MigrationProgress, type MigrationView } from '@virtbus/shared';
import { Conflict } from '@virtbus/shared/bus';
import type { Log } from '@virtbus/shared/log';
import { meter, metrics } from '@virtbus/shared/metrics';
import {
  before,
  decide,
  freshMind,
  learn,
  losePatience,
  sideOf,
  type Deed,
  type Ended,
  type Mind,
  type Outcome,
} from '@virtbus/migration-saga';
import type { Saga, SagaEntry, SagaJournal } from './journal';
import type { Parties } from './parties';
import { watched } from './watch';

/** Between two attempts to reach those who are away, milliseconds: the first, and the longest. */
const pauses = { first: 200, longest: 10_000 } as const;

export interface DriveOptions {
  /** This copy. */
  copy: string;
  /** How long somebody may be away without a break before the way on is given up, milliseconds. */
  patienceMs: number;
  /** The last that was written. */
  onWritten: (entry: SagaEntry) => void;
  /** Resolves when the stream has all that was told of what was written. */
  told: () => Promise<void>;
  log: Log;
}

export class Drive {
  private entry: SagaEntry;
  private mind: Mind<MigrationView>;
  private wake: (() => void) | undefined;
  /** The latest write that is known of, whoever's it is. */
  private heard = 0;
  private writing = false;
  private stopped = false;
  private hurried = false;
  private refusedToHurry = false;
  private latest: MigrationView | undefined;
  private pauseMs: number = pauses.first;
  /** What did not come to anything, and is asked again after a while; why, where that was said. */
  private stuck: { on: string; reason?: string } | undefined;
  /** Since when each has given no answer, on the clock of `performance.now()`: whoever answered in between was not away all that time. */
  private readonly awaySince = new Map<(Deed & { do: 'wait' })['for'], number>();

  constructor(
    entry: SagaEntry,
    private readonly journal: SagaJournal,
    private readonly parties: Parties,
    private readonly options: DriveOptions,
    first?: Mind<MigrationView>,
  ) {
    this.entry = entry;
    this.mind = first ?? freshMind(entry.value.ledger);
  }

  get saga(): Saga {
    return this.entry.value;
  }

  get progress(): MigrationProgress | undefined {
    return this.latest?.progress;
  }

  /** Another has written: read it before anything else is done. */
  hear(revision: number): void {
    this.heard = Math.max(this.heard, revision);
    if (this.changed) this.wake?.();
  }

  /** By another: our own is heard of before we know that it was done. */
  private get changed(): boolean {
    return !this.writing && this.heard > this.entry.revision;
  }

  /** Let go of it, as it is: another copy goes on. */
  stop(): void {
    this.stopped = true;
    this.wake?.();
  }

  /** Resolves when it is closed, or somebody else's. */
  async run(): Promise<void> {
    while (!this.stopped) {
      try {
        if (this.changed && !(await this.read())) return;
        if (!(await this.turn())) return;
      } catch (error) {
        if (error instanceof Conflict) this.heard = Infinity;
        else {
          this.options.log.warn({ err: error, migration: this.saga.id }, 'a migration waits for its journal');
          await this.pause();
        }
      }
    }
  }

  /** False when there is nothing more to do. */
  private async turn(): Promise<boolean> {
    const deed = decide(this.mind);
    if (deed.do === 'rest') return false;
    if (deed.do === 'close' && !(await this.settle(deed.as))) return false;
    await this.write(before(this.mind.ledger, deed));
    switch (deed.do) {
      case 'settle':
      case 'close':
        return true;
      case 'wait':
        await this.wait(deed);
        return true;
      default: {
        const asked = watched(this.parties, this.saga, this.mind, deed, {
          onView: (view) => (this.latest = view),
          onLook: () => this.inTime(deed),
        });
        const outcome = await this.unlessWoken(asked);
        if (outcome === undefined) return true;
        this.heed(deed, outcome);
        this.mind = learn(this.mind, deed, outcome);
        return true;
      }
    }
  }

  /** When it is asked again, and what is told until then: what goes well on the way to that which does not is no way on. */
  private heed(deed: Deed, outcome: Outcome<MigrationView>): void {
    const who = sideOf(deed) ?? 'registry';
    const on = `${deed.do} ${who}`;
    if (outcome === 'away' || outcome === 'registry-away') {
      this.stuck = { on };
    } else if (typeof outcome === 'object' && 'refused' in outcome) {
      this.stuck = { on, reason: outcome.refused };
      this.options.log.info({ migration: this.saga.id, deed, reason: outcome.refused }, 'a step was refused');
    } else {
      this.awaySince.delete(who);
      if (this.stuck?.on === on) this.stuck = undefined;
      if (!this.stuck) this.pauseMs = pauses.first;
    }
  }

  /** A closed one nobody drives: how it ended is in the stream before. False when this copy is stopped over that. */
  private async settle(as: Ended): Promise<boolean> {
    const { ledger } = this.mind;
    if (ledger.settled === undefined) await this.write({ ...ledger, settled: as });
    await this.options.told();
    return !this.stopped;
  }

  /** A transfer that takes longer than it may is given up, or hurried up; that is tried at each look until it took. */
  private async inTime(deed: Deed): Promise<Outcome<MigrationView> | undefined> {
    // Of one that a service of the last release has begun it is not written down when it was first sent.
    const { timeout, started, sending = started } = this.saga;
    if (deed.do !== 'perform' || deed.recover || !timeout || this.hurried) return undefined;
    if (Date.now() - sending < timeout.afterMs) return undefined;
    if (timeout.action === 'abort') return { refused: `it took longer than ${timeout.afterMs} ms` };
    await this.hurry(timeout.action);
    return undefined;
  }

  /** Refused while disks are still copied, for one: it is told once, and tried again. */
  private async hurry(action: 'suspend' | 'postcopy'): Promise<void> {
    try {
      await this.parties.tell(this.saga, action === 'suspend' ? migrationSuspend : migrationPostcopy);
      this.hurried = true;
    } catch (err) {
      const { log } = this.options;
      const migration = this.saga.id;
      if (!this.refusedToHurry)
        log.warn({ err, migration, action }, 'a migration cannot be hurried up yet; trying again');
      this.refusedToHurry = true;
    }
  }

  private async wait(deed: Deed & { do: 'wait' }): Promise<void> {
    const since = this.awaySince.get(deed.for) ?? performance.now();
    this.awaySince.set(deed.for, since);
    const { patienceMs } = this.options;
    if (performance.now() - since > patienceMs) {
      this.mind = losePatience(this.mind, `${deed.for} was away for more than ${patienceMs} ms`);
    }
    await this.tellWait(deed.for);
    await this.pause();
    this.mind = learn(this.mind, deed, 'done');
  }

  /** What was refused, or who has not answered for so long that it is worth a word. */
  private async tellWait(who: (Deed & { do: 'wait' })['for']): Promise<void> {
    const { waitsFor: before, ...saga } = this.saga;
    const isSide = who === 'source' || who === 'target';
    const silent = isSide && this.pauseMs === pauses.longest ? `nobody answers on host '${saga[who].host}'` : undefined;
    const now = this.stuck?.reason ?? silent;
    if (now !== before) await this.put({ ...saga, ...(now !== undefined && { waitsFor: now }) });
  }

  private async write(ledger: Saga['ledger']): Promise<void> {
    if (ledger !== this.saga.ledger) {
      const { waitsFor: _over, ...saga } = this.saga;
      const { settled } = saga.ledger;
      const sending = ledger.step === 'perform' ? { sending: saga.sending ?? Date.now() } : {};
      const ended = ledger.settled !== undefined ? { ended: saga.ended ?? Date.now() } : {};
      await this.put({ ...saga, ledger, ...sending, ...ended });
      this.awaySince.clear();
      this.stuck = undefined;
      if (ledger.settled !== settled) meter.count(metrics.migrationsEnded, { outcome: ledger.settled ?? 'reopened' });
      this.options.log.info({ migration: this.saga.id, step: ledger.step, settled: ledger.settled }, 'migration');
    }
    this.mind = { ...this.mind, ledger: this.saga.ledger };
  }

  private async put(saga: Saga): Promise<void> {
    this.writing = true;
    try {
      this.entry = await this.journal.write(this.entry, saga);
    } finally {
      this.writing = false;
    }
    this.options.onWritten(this.entry);
  }

  /** False when it is another's now. What the sides have told stays true, but is asked anew. */
  private async read(): Promise<boolean> {
    // A journal that was wiped is made again by whoever drives: nothing is dropped from it before it is closed.
    const entry = (await this.journal.get(this.saga.id)) ?? (await this.journal.create(this.saga));
    if (entry.value.copy !== this.options.copy) return false;
    this.entry = entry;
    this.heard = entry.revision;
    this.mind = freshMind(entry.value.ledger);
    return true;
  }

  private async pause(): Promise<void> {
    await this.unlessWoken(new Promise((resolve) => setTimeout(resolve, this.pauseMs).unref()));
    this.pauseMs = Math.min(2 * this.pauseMs, pauses.longest);
  }

  /** Undefined when there is something to hear first; what was asked goes on without us. */
  private async unlessWoken<T>(work: Promise<T>): Promise<T | undefined> {
    if (this.changed || this.stopped) return undefined;
    const woken = new Promise<undefined>((resolve) => (this.wake = () => resolve(undefined)));
    try {
      return await Promise.race([work, woken]);
    } finally {
      this.wake = undefined;
    }
  }
}
