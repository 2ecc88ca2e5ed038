/**
 * What a source does with the guest itself: sends it, hands it over once the last of it is on its way, and lets it go on here when
 * nothing comes of that.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type migrationLimits,
  type migrationPerform,
  VirtError,
  type JobInfo,
  type MigrationOptions,
  type MigrationProgress,
  type MigrationView,
} from '@virtbus/shared';
import type { Call } from '@virtbus/shared/bus';
import type { z } from 'zod';
import type { Actor } from '../actor';
import type { Guest } from '../driver';
import { decideHandedOver } from '../handed-over';
import { guestOf } from '../ops/op';
import type { MigrationRecord } from './book';
import { postcopyOf, type Transferred } from './facet';
import { causeOf, kept, MigrationSide } from './side';

export type Perform = z.output<typeof migrationPerform.request>;
type Limits = Omit<z.output<typeof migrationLimits.request>, 'id'>;

/** Until a hypervisor that hangs is asked again, milliseconds. */
const againMs = 1_000;

export abstract class SentGuest extends MigrationSide {
  /** Transfers that run, to be given up, and what they were asked for. */
  protected readonly sending = new Map<string, { stop: AbortController; options: MigrationOptions }>();
  /** Limits that were set before anything was sent. */
  protected readonly early = new Map<string, Limits>();
  protected readonly progress = new Map<string, MigrationProgress>();
  /** `performed` on disk, and nobody is told before it is seen how that ends. */
  protected readonly untold = new Set<string>();

  protected performed(record: MigrationRecord, cookie: string): MigrationView {
    const actor = this.actorOf(record);
    // What is its host's no more, too.
    actor?.persist();
    record.phase = 'performed';
    record.cookie = cookie;
    this.book.keep(record);
    this.mark(record, actor);
    return this.view(record);
  }

  /** Whoever would start or end the domain looks there. */
  protected mark({ id, peer }: MigrationRecord, actor: Actor | undefined): void {
    if (actor) actor.handedOver ??= { migration: id, host: peer?.host ?? 'another host' };
  }

  /**
   * Until it is `performed` or `undone`. The last of the memory is still on its way then: the target waits for it, and writes
   * down that it does, in the time that the guest stands still anyway.
   */
  protected handedOver(record: MigrationRecord, actor: Actor, ask: Perform): Promise<void> {
    return new Promise((performed, failed) => {
      actor.as(causeOf(record), () => this.send(record, actor, ask, performed)).then(performed, failed);
    });
  }

  private async send(
    record: MigrationRecord,
    actor: Actor,
    { options, uri, cookie }: Perform,
    performed: () => void,
  ): Promise<void> {
    const stop = new AbortController();
    const began = Date.now();
    const job: JobInfo = { type: 'unbounded', operation: 'migration-out', commandId: record.id, elapsedMs: 0 };
    actor.job = job;
    actor.abortJob = stop;
    Object.assign(options, this.early.get(record.id));
    this.early.delete(record.id);
    this.sending.set(record.id, { stop, options });
    try {
      await this.facet.perform(guestOf(actor), {
        ...this.ask({ ...record, options }, stop.signal),
        uri,
        cookie,
        handOver: (last, { certain }) => {
          stop.signal.throwIfAborted();
          if (!certain) this.untold.add(record.id);
          this.performed(record, kept(last));
          actor.abortJob = undefined;
          if (certain) performed();
        },
        progress: (now) => {
          this.progress.set(record.id, now);
          const { total, processed, remaining } = now.memory ?? now.disks ?? {};
          Object.assign(job, { total, processed, remaining, migration: now, elapsedMs: Date.now() - began });
        },
      });
      if (this.untold.has(record.id)) await this.notePostcopy(record);
      this.untold.delete(record.id);
      actor.lastJob = { ...job, type: 'completed', elapsedMs: Date.now() - began };
    } catch (thrown) {
      actor.lastJob = { ...job, type: stop.signal.aborted ? 'cancelled' : 'failed', elapsedMs: Date.now() - began };
      const untold = this.untold.has(record.id) && !(await this.notePostcopy(record));
      this.untold.delete(record.id);
      if (isHandedOver(record) && !untold) {
        // What the target makes of it decides.
        actor.log.info({ err: thrown }, 'the last of a guest was not seen to get through');
        return;
      }
      record.error = VirtError.from(thrown).toBody();
      await this.goBack(record);
    } finally {
      this.sending.delete(record.id);
      this.progress.delete(record.id);
      actor.job = undefined;
      actor.abortJob = undefined;
    }
  }

  /** Has it come to post-copy? That it has is on disk before anybody is told that the guest is `performed`. */
  protected async notePostcopy(record: MigrationRecord): Promise<boolean> {
    if (record.options?.postcopy !== true) return false;
    const now = await this.transferred(record);
    if (now !== 'post-copy' && now !== 'stranded') return false;
    record.postcopy = true;
    this.book.keep(record);
    return true;
  }

  /** Asked until it is known: a guest that may go on there must not go back here. Undefined for one that has ended. */
  private async transferred(record: MigrationRecord): Promise<Transferred | undefined> {
    for (;;) {
      const guest = this.actorOf(record)?.guest;
      if (!guest) return undefined;
      const now = await this.facet.transferred(guest, 'source').catch(() => undefined);
      if (now !== undefined) return now;
      await sleep(againMs, undefined, { ref: false });
    }
  }

  protected async goBack(record: MigrationRecord): Promise<void> {
    // On disk first: what is let run must not be taken for what is performed.
    record.phase = 'undone';
    record.takingBack = true;
    this.book.keep(record);
    await this.goOnHere(record);
  }

  /**
   * As if it had never begun. A guest whose hypervisor hangs is left to a later attempt, for as long as it is there; one whose
   * target is gone after post-copy has begun ends (facts: migration §1, §8).
   */
  protected async goOnHere(record: MigrationRecord): Promise<void> {
    const actor = this.actorOf(record);
    if (actor) decideHandedOver(actor);
    const guest = actor?.guest;
    if (actor && guest) {
      try {
        await actor.as(causeOf(record), async () => {
          this.facet.belongsHere(guest);
          if (record.postcopy || (await this.notePostcopy(record))) return this.endHere(record, guest);
          await this.facet.withdraw(guest, this.ask(record, new AbortController().signal));
          await this.letRun(record, actor);
        });
      } catch (err) {
        actor.log.warn({ err }, 'cannot take a transfer back yet; trying again');
        setTimeout(() => void this.goOnHere(record), againMs).unref();
        return;
      }
    }
    delete record.takingBack;
    this.book.keep(record);
    this.letGo(record);
  }

  private async endHere(record: MigrationRecord, guest: Guest): Promise<void> {
    const detail = 'the guest ended with its target: post-copy had begun, and it could not go on at its source';
    record.error = new VirtError('OPERATION_FAILED', { detail }).toBody();
    record.lost = true;
    this.book.keep(record);
    await guest.destroy({ graceful: false, reason: 'crashed', detail: 'crashed' });
  }

  /** One that has stopped on an I/O error meanwhile stands still until somebody has seen to that. */
  private async letRun(record: MigrationRecord, actor: Actor): Promise<void> {
    const { state, reason } = actor.record;
    if (!record.wasRunning || !actor.guest || state === 'running' || reason === 'ioerror') return;
    await actor.guest.resume('migration-canceled');
  }

  status(id: string): MigrationView {
    const record = this.find(id);
    if (!record) return this.absent();
    const progress = this.progress.get(id);
    const shown = this.untold.has(id) ? { ...record, phase: 'performing' as const } : record;
    return { ...this.view(shown), ...(progress ? { progress } : {}) };
  }

  async limits({ id, ...given }: Limits & { id: string }, call: Call): Promise<MigrationView> {
    const limits = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as Limits;
    const sending = this.sending.get(id);
    if (!sending && this.find(id)?.phase === 'begun') {
      this.early.set(id, { ...this.early.get(id), ...limits });
      return this.status(id);
    }
    // A transfer that is just being set up takes them from there.
    if (sending) Object.assign(sending.options, limits);
    await this.facet.limits(this.limitedGuest(id), limits, call.signal);
    return this.status(id);
  }

  async postcopy(id: string, call: Call): Promise<MigrationView> {
    await postcopyOf(this.facet).start(this.sendingGuest(id), call.signal);
    return this.status(id);
  }

  async suspend(id: string, call: Call): Promise<void> {
    const guest = this.sendingGuest(id);
    await guest.suspend('migration', call.signal);
  }

  /** In post-copy memory is sent on when the guest is `performed`. */
  private limitedGuest(id: string) {
    const record = this.find(id);
    const follows = record?.phase === 'performed' && record.options?.postcopy === true;
    return follows ? guestOf(this.host.get(record.domain)) : this.sendingGuest(id);
  }

  private sendingGuest(id: string) {
    const record = this.find(id);
    if (record && this.sending.has(id)) return guestOf(this.host.get(record.domain));
    throw new VirtError('OPERATION_INVALID', { detail: `no transfer of migration ${id} runs on this host` });
  }
}

const isHandedOver = ({ phase }: MigrationRecord): boolean => phase !== 'performing';
