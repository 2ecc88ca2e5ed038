/**
 * The rest of a post-copy migration: the guest runs here while its memory still arrives. How that stands is why it runs, and is
 * on disk; the domain is held until the last of it is here.
 */
import { VirtError } from '@virtbus/shared';
import type { Actor } from '../actor';
import { facet, type Guest } from '../driver';
import type { DriverHost } from '../host';
import type { MigrationBook, MigrationRecord } from './book';
import { postcopyOf, type MigrationFacet } from './facet';

/** How often a guest whose memory still arrives is looked at, milliseconds. */
const lookMs = 250;
/** How long a hypervisor may be silent until it is told that it is, milliseconds. */
const silentMs = 30_000;

/** How long a source may take to connect again, and be seen to send, milliseconds: longer than a driver waits for its hypervisor to. */
const awaitMs = 30_000;

/** The link to the source broke while memory was to come. */
export const isStranded = ({ memory }: MigrationRecord): boolean => memory === 'stranded' || memory === 'awaiting';

export class ArrivingMemory {
  private readonly silent = new Set<string>();

  /** @param done called when nothing is to come any more */
  constructor(
    private readonly host: DriverHost,
    private readonly book: MigrationBook,
    private readonly done: (record: MigrationRecord) => void,
  ) {}

  /** Its hypervisor does not answer: the guest may stand still over memory that never comes. */
  isSilent({ id }: MigrationRecord): boolean {
    return this.silent.has(id);
  }

  /** Until all of it is here, or the guest has ended and needs none. */
  follow(record: MigrationRecord): void {
    let heardAt = performance.now();
    let awaitedSince: number | undefined;
    const isForsaken = (): boolean => record.memory === 'whole';
    const again = async (): Promise<void> => {
      if (isForsaken()) return;
      const actor = this.host.find(record.domain);
      const guest = actor?.guest;
      if (!guest) return this.ended(record);
      const now = await this.facet.transferred(guest, 'target').catch(() => undefined);
      if (isForsaken()) return;
      if (now !== undefined) heardAt = performance.now();
      if (performance.now() - heardAt < silentMs) this.silent.delete(record.id);
      else this.silent.add(record.id);
      if (now === 'arrived') {
        await postcopyOf(this.facet).end(guest);
        this.postcopyIs(actor, record, 'migrated');
        return this.whole(record);
      }
      if (now === 'stranded' && record.memory === 'arriving') {
        record.memory = 'stranded';
        this.book.keep(record);
        this.postcopyIs(actor, record, 'post-copy-failed');
      }
      if (now !== 'stranded' || record.memory !== 'awaiting') awaitedSince = undefined;
      else {
        awaitedSince ??= performance.now();
        if (performance.now() - awaitedSince > awaitMs) this.awaitNoLonger(record);
      }
      if (now === 'sending' && record.memory !== 'arriving') {
        record.memory = 'arriving';
        this.book.keep(record);
        this.postcopyIs(actor, record, 'post-copy');
      }
      later();
    };
    const later = (): void => {
      const look = (): Promise<void> =>
        again().catch((err: unknown) => {
          this.host.log.warn({ err, migration: record.id }, 'cannot follow a post-copy migration; trying again');
          later();
        });
      setTimeout(() => void look(), lookMs).unref();
    };
    later();
  }

  /** The rest of it never came, and without that the guest is no more. */
  lost(record: MigrationRecord): void {
    const detail = `the guest ended before all of its memory had come from host '${record.peer?.host}'`;
    record.error = new VirtError('OPERATION_FAILED', { detail }).toBody();
    record.lost = true;
    this.whole(record);
  }

  /**
   * A connection that came and broke before it was seen to bring anything has used up the listener, and the hypervisor tells
   * nobody: it has to listen anew. A source that is late after all may still be let in by the old one.
   */
  private awaitNoLonger(record: MigrationRecord): void {
    record.memory = 'stranded';
    this.book.keep(record);
  }

  private whole(record: MigrationRecord): void {
    this.silent.delete(record.id);
    record.memory = 'whole';
    this.book.keep(record);
    this.done(record);
  }

  /** Its guest has ended while memory was still to come. It has needed none of it, or ended for want of it. */
  private ended(record: MigrationRecord): void {
    if (record.lost || isStranded(record)) this.lost(record);
    else this.whole(record);
  }

  /** How post-copy stands is why the guest runs; one that a user has paused stays so. */
  private postcopyIs(
    actor: Actor,
    { id }: MigrationRecord,
    reason: 'migrated' | 'post-copy' | 'post-copy-failed',
  ): void {
    if (actor.record.state !== 'running') return;
    actor.enter({ state: 'running', reason });
    actor.lifecycle('resumed', reason, { id });
  }

  private get facet(): MigrationFacet<Guest> {
    return facet(this.host.implementation, 'migration');
  }
}
