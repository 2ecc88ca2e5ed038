/**
 * The side that a guest leaves: `begun`, `performing`, `performed`, `confirmed`, or `undone` (contracts/migration-host.ts of
 * libs/shared has the rules). From `performed` on the guest stands still here until the target has said how it went.
 */
import { formatDomain } from '@virtbus/domain-xml';
import {
  type migrationBegin,
  type migrationConfirm,
  type migrationUndo,
  VirtError,
  type MigrationView,
} from '@virtbus/shared';
import type { z } from 'zod';
import type { Call } from '@virtbus/shared/bus';
import type { Actor } from '../actor';
import { decideHandedOver } from '../handed-over';
import { guestOf, notRunning, turn } from '../ops/op';
import type { MigrationRecord } from './book';
import { definitionFor, given } from './documents';
import { postcopyOf } from './facet';
import { mustLeaveNothing } from './left-behind';
import { SentGuest, type Perform } from './sent-guest';
import { causeOf, kept } from './side';

type Begin = z.output<typeof migrationBegin.request>;
type Confirm = z.output<typeof migrationConfirm.request>;
type Undo = z.output<typeof migrationUndo.request>;

export class MigrationSource extends SentGuest {
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
