/**
 * The side that a guest comes to: `prepared`, `finishing`, `finished`, or `undone` (contracts/migration-host.ts of libs/shared
 * has the rules). Until it is `finished` nobody is told of the domain here: it lives where it comes from.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseDomain, type Domain } from '@virtbus/domain-xml';
import {
  type migrationFinish,
  type migrationPrepare,
  type migrationUndo,
  VirtError,
  type JobInfo,
  type MigrationProgress,
  type MigrationView,
} from '@virtbus/shared';
import type { z } from 'zod';
import type { Call } from '@virtbus/shared/bus';
import type { Actor } from '../actor';
import type { DriverHost } from '../host';
import { chainsOf, heldBy } from '../images';
import { checkMemory } from '../memory';
import { ArrivingMemory, isStranded } from './arriving-memory';
import { isIncomplete, type MigrationRecord } from './book';
import { postcopyOf } from './facet';
import type { Guest } from '../driver';
import { causeOf, kept, MigrationSide } from './side';

type Prepare = z.output<typeof migrationPrepare.request>;
type Finish = z.output<typeof migrationFinish.request>;
type Undo = z.output<typeof migrationUndo.request>;

/** How long a guest that has run may take to be gone when its hypervisor does not answer any more, milliseconds. */
const endMs = 2_000;

export class MigrationTarget extends MigrationSide {
  private readonly arriving = new ArrivingMemory(this.host, this.book, (record) => this.letGo(record));

  prepare(uuid: string, ask: Prepare, call: Call): Promise<MigrationView> {
    return this.steps.once(`${ask.id} prepare`, async () => {
      const known = this.find(ask.id);
      if (known && ask.recover && isIncomplete(known)) return this.listenAgain(known, call);
      if (known) return this.look(known);
      const { domain } = parseDomain(ask.xml, { mode: 'inactive', unknown: 'warn' });
      const sourceName = domain.name;
      domain.name = ask.name;
      this.checkRoom(uuid, ask.name);
      const definition = ask.options.offline ? (ask.definition ?? ask.xml) : ask.definition;
      this.checkDefinition(definition, ask);
      const record: MigrationRecord = {
        version: 1,
        ...{ id: ask.id, role: 'target', domain: uuid, phase: 'prepared', peer: ask.peer, options: ask.options },
        ...{ sourceName, name: ask.name, definition, autostart: ask.autostart, changed: 0 },
      };
      if (ask.options.offline) {
        Object.assign(record, { uri: '', cookie: '', epoch: ask.epoch });
        this.book.keep(record);
      } else await this.receive(record, domain, ask, call);
      return this.view(record);
    });
  }

  protected override view(record: MigrationRecord): MigrationView {
    return { ...super.view(record), ...(this.arriving.isSilent(record) && { silent: true }) };
  }

  private checkRoom(uuid: string, name: string): void {
    const other = this.host.find(uuid) ?? this.host.byName(name);
    if (other) throw nameTaken(this.host, other);
  }

  /** What cannot be read, or is no domain of this host's, would be lost once the source has let go of it. */
  private checkDefinition(definition: string | undefined, { name, options }: Prepare): void {
    if (definition === undefined) return;
    const { domain } = parseDomain(definition, { mode: 'inactive', unknown: 'warn' });
    if (options.offline) this.host.implementation.prepare({ ...domain, name }, {});
  }

  private async receive(record: MigrationRecord, domain: Domain, ask: Prepare, call: Call): Promise<void> {
    const { host } = this;
    const { claim } = ask.prepared ?? {};
    if (claim !== undefined && host.revokedClaims.has(claim)) {
      throw new VirtError('RESOURCE_BUSY', { detail: `the images of '${ask.name}' were let go before it could begin` });
    }
    checkMemory(domain);
    const actor = host.add({ uuid: record.domain, name: ask.name, epoch: ask.epoch, persistent: false });
    const job = await actor.jobs.async('migration-in', 'migrate');
    actor.record.incoming = record.id;
    actor.record.id = host.nextId();
    actor.record.disks = heldBy(ask.prepared);
    actor.live = domain;
    try {
      actor.enter({ state: 'paused', reason: 'starting-up' });
      actor.persist();
      actor.setLive(domain);
      actor.makeRunFolder();
      const { guest, uri, cookie } = await this.facet.receive(
        {
          uuid: actor.uuid,
          id: actor.record.id,
          domain,
          folders: actor.folders,
          chains: chainsOf(actor.record.disks),
          signal: call.signal,
          sink: actor.listener(),
          onSpawned: (saved, live) => {
            actor.setSaved(saved);
            actor.setLive(live);
          },
          log: actor.log,
        },
        { ...this.ask(record, call.signal), cookie: ask.cookie },
      );
      actor.guest = guest;
      actor.setSaved(guest.saved);
      actor.setLive(guest.live);
      actor.enter({ state: 'paused', reason: 'migration' });
      actor.persist();
      Object.assign(record, { uri, cookie: kept(cookie) });
      this.book.keep(record);
      this.held.set(record.id, job);
    } catch (error) {
      job[Symbol.dispose]();
      host.discard(actor);
      throw error;
    }
  }

  private async listenAgain(record: MigrationRecord, call: Call): Promise<MigrationView> {
    const guest = this.actorOf(record)?.guest;
    if (guest && record.memory === 'stranded') {
      const { uri } = await postcopyOf(this.facet).await(guest, this.ask(record, call.signal));
      Object.assign(record, { uri, memory: 'awaiting' });
      this.book.keep(record);
    }
    return { ...this.view(record), ...(record.uri ? { uri: record.uri } : {}) };
  }

  finish({ id, cookie, revision, downtimeMs }: Finish): Promise<MigrationView> {
    return this.steps.once(`${id} finish`, async () => {
      const record = this.find(id);
      if (!record) return this.absent();
      this.look(record);
      if (record.phase === 'prepared') {
        record.phase = 'finishing';
        record.cookie = kept(cookie);
        record.revision = revision;
        if (record.options && downtimeMs !== undefined) record.options = { ...record.options, downtimeMs };
        this.book.keep(record);
      }
      if (record.phase === 'finishing') await this.arrive(record);
      return this.view(record);
    });
  }

  /** Let it run, then tell of it. Done again after a crash of ours: what runs already is only told of. */
  private async arrive(record: MigrationRecord): Promise<void> {
    if (record.options?.offline) return this.defined(record);
    const actor = this.actorOf(record);
    if (!actor?.guest) return this.ranAndEnded(record, actor);
    const { guest } = actor;
    if (actor.record.incoming !== undefined && !(await this.letRun(record, actor, guest))) return;
    const arrived = (await this.facet.transferred(guest, 'target')) === 'arrived';
    const { incoming, state, reason } = actor.record;
    // What a driver that came back over it has not heard: it can run for no other reason.
    if (incoming !== undefined && state === 'running' && reason === 'unpaused')
      actor.enter({ state, reason: arrived ? 'migrated' : 'post-copy' });
    // What post-copy has brought by now is put in order like what it brings later.
    const followed = !arrived || actor.record.reason === 'post-copy';
    record.memory = followed ? 'arriving' : 'whole';
    this.tell(record, actor);
    if (followed) this.arriving.follow(record);
  }

  /**
   * False when the end of the guest has been told instead.
   * @throws for a guest that may run for all that is known: it is asked again
   */
  private async letRun(record: MigrationRecord, actor: Actor, guest: Guest): Promise<boolean> {
    const cookie = new Uint8Array(Buffer.from(record.cookie ?? '', 'base64'));
    const letRun = (may: boolean): void => {
      record.mayRun = may || undefined;
      this.book.keep(record, false);
    };
    try {
      const ask = this.ask(record, new AbortController().signal);
      const done = await this.facet.finish(guest, { ...ask, cookie, letRun });
      if (done.sum) actor.lastJob = jobOf(record, done.sum);
      return true;
    } catch (error) {
      const runs = (): boolean => actor.record.state === 'running';
      const ran = runs() || record.mayRun === true;
      // Its monitor is gone a moment before its process.
      for (const until = performance.now() + endMs; ran && actor.guest && performance.now() < until;) await sleep(50);
      if (actor.guest && runs()) return true;
      if (actor.guest && ran) throw error;
      if (ran) {
        // It has run, if only for a moment: it is here that it ended.
        this.ranAndEnded(record, actor);
        return false;
      }
      await actor.guest?.destroy({ graceful: false, reason: 'failed', detail: 'failed' });
      this.host.discard(actor);
      this.undone(record, error);
      return false;
    }
  }

  /**
   * From now on it lives here: its definition is kept, and the world is told, in one turn. Only then is the migration
   * `finished`, upon which its source lets go of it: a process that dies before finds it told, or to be told.
   */
  private tell(record: MigrationRecord, actor: Actor): void {
    if (actor.record.incoming !== undefined) this.announce(record, actor);
    this.finished(record);
    if (!isIncomplete(record)) this.letGo(record);
    this.host.changed();
  }

  /** From now on its cookie is what the source is told; until then it is the source's, for whoever has to do it again. */
  private finished(record: MigrationRecord): void {
    record.mayRun = undefined;
    record.cookie = kept(this.facet.arrived(record.domain, this.ask(record, new AbortController().signal)));
    record.phase = 'finished';
    this.book.keep(record);
  }

  private announce(record: MigrationRecord, actor: Actor): void {
    const cause = causeOf(record);
    delete actor.record.incoming;
    goOn(actor, record);
    if (record.definition !== undefined) {
      const { domain } = parseDomain(record.definition, { mode: 'inactive', unknown: 'warn' });
      actor.setConfig({ ...domain, name: actor.record.name });
      actor.record.persistent = true;
      actor.record.autostart = record.autostart === true;
    }
    this.host.settle(actor);
    const screens = screensOf(actor.document);
    const data = screens.length > 0 ? { screens } : undefined;
    actor.emit({ class: 'lifecycle', type: 'started', detail: 'migrated', cause, data });
    const { state, reason } = actor.record;
    if (state === 'running') actor.lifecycle('resumed', reason === 'post-copy' ? 'post-copy' : 'migrated', cause);
    else if (state === 'paused') actor.lifecycle('suspended', 'paused', cause);
    if (actor.record.persistent) actor.lifecycle('defined', 'added', cause);
  }

  private defined(record: MigrationRecord): void {
    if (!this.actorOf(record)) {
      const { domain } = parseDomain(record.definition ?? record.xml ?? '', { mode: 'inactive', unknown: 'warn' });
      const { name = domain.name, epoch = 0 } = record;
      const actor = this.host.add({ uuid: record.domain, name, epoch, persistent: true });
      actor.setConfig(this.host.implementation.prepare({ ...domain, name }, {}).domain);
      actor.record.autostart = record.autostart === true;
      goOn(actor, record);
      this.host.settle(actor);
      actor.lifecycle('defined', 'added', causeOf(record));
      actor.establish();
    }
    record.phase = 'finished';
    record.memory = 'whole';
    this.book.keep(record);
  }

  /** It may have run: so it was here that it ended. One that was told of here has been told to have ended. */
  private ranAndEnded(record: MigrationRecord, actor: Actor | undefined): void {
    record.memory = 'whole';
    if (actor?.record.incoming !== undefined) {
      this.announce(record, actor);
      actor.lifecycle('stopped', 'crashed', causeOf(record));
    }
    this.finished(record);
    this.letGo(record);
    if (actor && !actor.record.persistent && !actor.active) this.host.gone(actor);
    this.host.changed();
  }

  /** The source can never send what the guest waits for: it cannot live without. */
  forsake(id: string): Promise<MigrationView> {
    return this.steps.once(`${id} forsake`, async () => {
      const record = this.find(id);
      if (!record || !(isStranded(record) || this.arriving.isSilent(record))) return this.status(id);
      const actor = this.actorOf(record);
      // On disk first: whoever finds the guest gone after a crash of ours knows why it is.
      record.lost = true;
      this.book.keep(record);
      const end = { graceful: false, reason: 'crashed', detail: 'crashed' } as const;
      await actor?.as(causeOf(record), async () => actor.guest?.destroy(end));
      this.arriving.lost(record);
      return this.view(record);
    });
  }

  undo(uuid: string, { id }: Undo): Promise<MigrationView> {
    return this.steps.once(`${id} undo`, async () => {
      await this.steps.settled(`${id} prepare`);
      const record = this.find(id);
      if (!record) return this.neverHere(id, uuid);
      if (record.phase === 'prepared') {
        await this.endGuest(record);
        this.undone(record);
      }
      return this.view(record);
    });
  }

  private async endGuest(record: MigrationRecord): Promise<void> {
    const actor = this.actorOf(record);
    if (actor?.record.incoming !== record.id) return;
    await actor.guest?.destroy({ graceful: false, reason: 'failed', detail: 'failed' });
    this.host.discard(actor);
  }

  status(id: string): MigrationView {
    const record = this.find(id);
    // Nothing is written down until the guest waits: whether a call for it is with this process only that can say.
    return record ? this.look(record) : { ...this.absent(), preparing: this.steps.isRunning(`${id} prepare`) };
  }

  /** The view; a process that waited and is gone has undone the side. */
  private look(record: MigrationRecord): MigrationView {
    const actor = this.actorOf(record);
    const waits = actor?.guest !== undefined || record.options?.offline === true;
    if (record.phase === 'prepared' && !waits) {
      if (actor?.record.incoming === record.id) this.host.discard(actor);
      this.undone(
        record,
        new VirtError('OPERATION_FAILED', { detail: 'the process that waited for the guest has ended' }),
      );
    }
    return this.view(record);
  }

  /** After our restart: a guest that waits for a migration of which nothing is written down waits for ever. */
  async endStrays(): Promise<void> {
    for (const actor of this.host.all()) {
      const { incoming } = actor.record;
      if (incoming === undefined || this.find(incoming)) continue;
      try {
        await actor.guest?.destroy({ graceful: false, reason: 'failed', detail: 'failed' });
        this.host.discard(actor);
      } catch (err) {
        actor.log.error({ err, migration: incoming }, 'a guest that waits for nobody cannot be ended');
      }
    }
  }

  /** After our restart. */
  async resume(record: MigrationRecord): Promise<void> {
    const actor = this.actorOf(record);
    if (actor?.guest) this.held.set(record.id, await actor.jobs.async('migration-in', 'migrate'));
    this.look(record);
    if (record.phase === 'finishing') await this.arrive(record);
    else if (isIncomplete(record)) this.arriving.follow(record);
  }
}

/** What has the name or the uuid of the domain that is to come. */
export function nameTaken(host: Pick<DriverHost, 'name'>, { uuid, record }: Actor): VirtError {
  if (record.incoming !== undefined) {
    const detail = `domain '${record.name}' is being migrated to host '${host.name}' (${record.incoming})`;
    return new VirtError('RESOURCE_BUSY', { detail });
  }
  const detail = `domain '${record.name}' already exists on host '${host.name}' with uuid ${uuid}`;
  return new VirtError('DOMAIN_EXISTS', { detail });
}

/** Where its screens are reached from now on: those who watched it have to connect again, or were sent there. */
function screensOf({ devices }: Domain): { type: string; port?: number; tlsPort?: number; listen?: string }[] {
  return devices.graphics.flatMap(({ type, port, tlsPort, listens }) => {
    if (port === undefined && tlsPort === undefined) return [];
    const listen = listens[0]?.address;
    return [{ type, ...(port && { port }), ...(tlsPort && { tlsPort }), ...(listen === undefined ? {} : { listen }) }];
  });
}

/** What is told of the migration here once it is over. */
function jobOf({ id }: MigrationRecord, sum: MigrationProgress): JobInfo {
  const { elapsedMs, memory: { total, processed, remaining } = {} } = sum;
  const job = { type: 'completed', operation: 'migration-in', commandId: id, elapsedMs, migration: sum } as const;
  return { ...job, total, processed, remaining };
}

/** Revisions rise on from the source's; one is left there for its end. */
function goOn(actor: Actor, { revision }: MigrationRecord): void {
  if (revision !== undefined) actor.record.revision = Math.max(actor.record.revision, revision + 1);
}
