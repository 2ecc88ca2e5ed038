/**
 * The side that a guest leaves: `begun`, `performing`, `performed`, `confirmed`, or `undone` (contracts/migration-host.ts of
 * libs/shared has the rules). From `performed` on the guest stands still here until the target has said how it went.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { formatDomain } from '@virtbus/domain-xml';
import {
  type migrationBegin,
  type migrationConfirm,
  type migrationLimits,
  type migrationPerform,
  type migrationUndo,
  VirtError,
  type JobInfo,
  type MigrationOptions,
  type MigrationProgress,
  type MigrationView,
} from '@virtbus/shared';
import type { z } from 'zod';
import type { Call } from '@virtbus/shared/bus';
import type { Actor } from '../actor';
import type { Guest } from '../driver';
import { decideHandedOver } from '../handed-over';
import { guestOf, notRunning, turn } from '../ops/op';
import type { MigrationRecord } from './book';
import { definitionFor, given } from './documents';
import { postcopyOf, type Transferred } from './facet';
import { mustLeaveNothing } from './left-behind';
import { causeOf, kept, MigrationSide } from './side';

type Begin = z.output<typeof migrationBegin.request>;
type Perform = z.output<typeof migrationPerform.request>;
type Confirm = z.output<typeof migrationConfirm.request>;
type Undo = z.output<typeof migrationUndo.request>;
type Limits = Omit<z.output<typeof migrationLimits.request>, 'id'>;

/** Until a hypervisor that hangs is asked again, milliseconds. */
const againMs = 1_000;

export class MigrationSource extends MigrationSide {
  /** Transfers that run, to be given up, and what they were asked for. */
  private readonly sending = new Map<string, { stop: AbortController; options: MigrationOptions }>();
  /** Limits that were set before anything was sent. */
  private readonly early = new Map<string, Limits>();
  private readonly progress = new Map<string, MigrationProgress>();
  /** `performed` on disk, and nobody is told before it is seen how that ends. */
  private readonly untold = new Set<string>();

  begin(uuid: string, ask: Begin, call: Call): Promise<MigrationView> {
    return this.steps.once(`${ask.id} begin`, async () => {
      const known = this.find(ask.id);
      if (known) return this.view(known);
      const actor = this.host.get(uuid);
      const job = await actor.jobs.async('migration-out', 'migrate', turn(call));
      try {
        this.host.mustHave(actor);
        mustLeaveNothing(actor);
        const record = await this.describe(actor, ask, call);
        const takenBack = this.find(ask.id);
        if (takenBack) {
          // Meanwhile: that is final.
          job[Symbol.dispose]();
          return this.view(takenBack);
        }
        this.book.keep(record);
        this.held.set(ask.id, job);
        return this.view(record);
      } catch (error) {
        job[Symbol.dispose]();
        throw error;
      }
    });
  }

  private async describe(actor: Actor, { id, peer, options }: Begin, call: Call): Promise<MigrationRecord> {
    const { record, config } = actor;
    const definition = definitionFor(actor, options);
    const begun: MigrationRecord = {
      version: 1,
      ...{ id, role: 'source', domain: actor.uuid, phase: 'begun', peer, options, sourceName: record.name },
      ...(definition !== undefined && { definition, autostart: record.autostart }),
      changed: 0,
    };
    if (options.offline) {
      if (actor.active) throw new VirtError('OPERATION_INVALID', { detail: 'cannot migrate a running domain offline' });
      if (!config) throw notRunning();
      const [blocker] = (await this.facet.offlineBlockers?.(config, this.ask(begun, call.signal))) ?? [];
      if (blocker) throw VirtError.fromBody({ code: blocker.code, message: blocker.message, details: {} });
      return { ...begun, xml: begun.definition!, cookie: '' };
    }
    if (!actor.active) throw notRunning();
    const leases = JSON.stringify({ epoch: record.epoch, disks: record.disks ?? {} });
    const { cookie, domain, copies } = await this.facet.begin(guestOf(actor), {
      ...this.ask(begun, call.signal),
      leases,
    });
    const live = formatDomain(domain, { view: 'live', secrets: true, migratable: true });
    return { ...begun, xml: options.xml === undefined ? live : given(options.xml, live), cookie: kept(cookie), copies };
  }

  perform(ask: Perform, call: Call): Promise<MigrationView> {
    return this.steps.once(`${ask.id} perform`, async () => {
      const record = this.find(ask.id);
      if (record?.phase === 'performed' && ask.recover) return this.recover(record, ask, call);
      if (record?.phase !== 'begun') return record ? this.view(record) : this.absent();
      const actor = this.host.get(record.domain);
      if (record.options?.offline) return this.performed(record, '');
      record.phase = 'performing';
      record.wasRunning = actor.record.state === 'running';
      this.book.keep(record);
      await this.handedOver(record, actor, ask);
      return this.view(record);
    });
  }

  private performed(record: MigrationRecord, cookie: string): MigrationView {
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
  private mark({ id, peer }: MigrationRecord, actor: Actor | undefined): void {
    if (actor) actor.handedOver ??= { migration: id, host: peer?.host ?? 'another host' };
  }

  /**
   * Until it is `performed` or `undone`. The last of the memory is still on its way then: the target waits for it, and writes
   * down that it does, in the time that the guest stands still anyway.
   */
  private handedOver(record: MigrationRecord, actor: Actor, ask: Perform): Promise<void> {
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
  private async notePostcopy(record: MigrationRecord): Promise<boolean> {
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

  private async recover(record: MigrationRecord, { uri }: Perform, call: Call): Promise<MigrationView> {
    if (this.isLost(record)) return this.view(record);
    const guest = guestOf(this.host.get(record.domain));
    await postcopyOf(this.facet).resume(guest, { ...this.ask(record, call.signal), uri });
    return this.view(record);
  }

  protected override view(record: MigrationRecord): MigrationView {
    return { ...super.view(record), ...(this.isLost(record) && { lost: true }) };
  }

  /** Of a post-copy that was handed over: with its process is gone what the target may still need. */
  private isLost(record: MigrationRecord): boolean {
    const handedOver = record.phase === 'performed' && record.options?.postcopy === true;
    const actor = this.actorOf(record);
    return handedOver && (actor?.active !== true || actor.handedOver?.ended !== undefined);
  }

  confirm({ id, cookie }: Confirm, call: Call): Promise<MigrationView> {
    return this.steps.once(`${id} confirm`, async () => {
      const record = this.find(id);
      if (record?.phase !== 'performed') return record ? this.view(record) : this.absent();
      const actor = this.actorOf(record);
      if (actor) {
        const { guest } = actor;
        if (guest) await this.facet.confirm(guest, { ...this.ask(record, call.signal), cookie });
        await actor.as(causeOf(record), () => this.leave(actor));
      }
      record.phase = 'confirmed';
      this.book.keep(record);
      this.letGo(record);
      return this.view(record);
    });
  }

  /** It lives elsewhere: its process ends, and nothing is defined here. */
  private async leave(actor: Actor): Promise<void> {
    actor.record.persistent = false;
    if (actor.active) {
      actor.persist();
      decideHandedOver(actor, { reason: 'migrated', detail: 'migrated' });
      if (this.host.find(actor.uuid) !== actor) return;
      await actor.endGuest({ graceful: false, reason: 'migrated', detail: 'migrated' });
      if (this.host.find(actor.uuid) !== actor) return;
    }
    // It was off: the end of no guest has told that it left, and what it stood on here would be its own for ever. That it is
    // defined no longer is on disk with the word of it, not before.
    actor.lifecycle('undefined', 'removed');
    this.host.gone(actor);
  }

  undo(uuid: string, { id, targetUndone, epoch }: Undo): Promise<MigrationView> {
    return this.steps.once(`${id} undo`, async () => {
      const record = this.find(id);
      if (!record) return this.neverHere(id, uuid);
      if (record.phase === 'performing' || this.untold.has(id)) {
        this.sending.get(id)?.stop.abort(new VirtError('OPERATION_ABORTED', { detail: 'migration out job: canceled' }));
        await this.steps.settled(`${id} perform`);
      }
      this.early.delete(id);
      if (record.phase === 'begun') this.undone(record);
      if (record.phase === 'performed' && targetUndone) await this.takeBack(record, epoch);
      return this.view(record);
    });
  }

  /** The target is known not to run it: it goes on here, under an epoch that nobody else was promised. */
  private async takeBack(record: MigrationRecord, epoch: number | undefined): Promise<void> {
    const actor = this.actorOf(record);
    if (epoch !== undefined && actor && epoch > actor.record.epoch) {
      actor.record.epoch = epoch;
      actor.persist();
    }
    await this.goBack(record);
  }

  private async goBack(record: MigrationRecord): Promise<void> {
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
  private async goOnHere(record: MigrationRecord): Promise<void> {
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

  /** After our restart, before its guest is found. */
  recall(record: MigrationRecord): void {
    if (record.phase === 'performed') this.mark(record, this.actorOf(record));
  }

  /** After our restart: what was being sent was not handed over, so the guest belongs here. */
  async resume(record: MigrationRecord): Promise<void> {
    const actor = this.actorOf(record);
    if (!actor) {
      // It left when it was confirmed, or its process ended meanwhile: what the target says still decides.
      if (record.phase === 'performed') return;
      delete record.takingBack;
      return this.undone(record);
    }
    this.held.set(record.id, await actor.jobs.async('migration-out', 'migrate'));
    if (record.phase === 'undone') return this.goOnHere(record);
    if (record.phase === 'performed') await this.notePostcopy(record);
    if (record.phase !== 'performing') return;
    const detail = 'the driver of the source was started again while the guest was sent';
    record.error = new VirtError('OPERATION_ABORTED', { detail }).toBody();
    await this.goBack(record);
  }
}

const isHandedOver = ({ phase }: MigrationRecord): boolean => phase !== 'performing';
