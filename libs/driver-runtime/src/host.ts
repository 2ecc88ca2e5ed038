/**
 * One driver on one host: its domains, its journal, and the counters that a heartbeat tells.
 */
import { isVirtError, VirtError, type DomainEvent, type Inventory } from '@virtbus/shared';
import { Journal } from '@virtbus/shared/bus';
import { bootId } from '@virtbus/shared/files';
import type { Log } from '@virtbus/shared/log';
import { Actor, type ActorHost } from './actor';
import { answered, type Became } from './answers';
import { Consoles } from './consoles';
import type { Driver, Guest } from './driver';
import type { DomainRecord, HostRecord, Tombstone } from './record';
import type { Store } from './store';

/** How many revoked claims are remembered; a command lives minutes at most. */
const maxRevoked = 10_000;

/**
 * By how much revisions rise with a boot: more than there can be events in the seconds that a file system writes later. What was
 * told in those before a power cut, and the disk does not know, is older than all that is told afterwards.
 */
const perBoot = 1_000_000;

export class DriverHost<G extends Guest = Guest> implements ActorHost {
  readonly journalOnDisk: Journal;
  /** Rises with each change that a list shows. */
  inventory = 1;
  /** Told of each new journal entry, and of each change. */
  onJournal: () => void = () => undefined;
  onChange: () => void = () => undefined;
  private readonly actors = new Map<string, Actor<G>>();
  private readonly tombstones = new Map<string, Tombstone>();
  private readonly record: HostRecord;
  readonly consoles: Consoles;
  /** What was prepared under these must never begin: somebody else may have the images. */
  readonly revokedClaims = new Set<string>();
  /** Domains that are to start with the host once storage has been asked what their disks stand on, or they do not move. */
  readonly awaited = new Set<string>();
  /** The revisions that the disk had, and what came of them, of domains that this boot of the host has not seen before. */
  readonly ofEarlierBoot = new Map<Actor<G>, { onDisk: number; loaded: number }>();
  /** Domains of which something is written down that cannot be read: their guests may run. */
  readonly unreadable = new Set<string>();
  /** Domains whose records are older than what has been told of them. */
  private readonly behind = new Set<Actor>();

  constructor(
    readonly name: string,
    readonly implementation: Driver<G>,
    readonly store: Store,
    readonly log: Log,
  ) {
    this.consoles = new Consoles(name);
    this.journalOnDisk = Journal.open(`${store.folder}/journal`);
    for (const place of this.journalOnDisk.damaged) log.error({ place }, 'a line of the event journal is damaged');
    this.record = store.loadHost();
    for (const tombstone of store.tombstones()) this.tombstones.set(tombstone.uuid, tombstone);
  }

  /** Domains that are to start with the host and have not been in this boot; each stays so until it was `startedOnce`. */
  dueToStart(): Actor<G>[] {
    const { toStart = [] } = this.record;
    const due = this.all().filter(({ uuid, record: { autostart }, active }) => {
      return autostart && !active && (toStart === 'all' || toStart.includes(uuid));
    });
    this.stillToStart(due.map(({ uuid }) => uuid));
    return due;
  }

  /** It has started, or cannot: it is not for us any more to start it with the host. */
  startedOnce({ uuid }: Actor): void {
    const { toStart } = this.record;
    if (!Array.isArray(toStart) || !toStart.includes(uuid)) return;
    this.stillToStart(toStart.filter((other) => other !== uuid));
  }

  /** A disk that is full keeps nothing from starting. */
  private stillToStart(uuids: string[]): void {
    this.record.toStart = uuids;
    try {
      this.store.saveHost(this.record);
    } catch (err) {
      this.log.warn({ err }, 'a driver that dies now starts domains again that were to start with the host');
    }
  }

  get driver(): string {
    return this.implementation.name;
  }

  get uuid(): string {
    return this.record.uuid;
  }

  /** What has lived here since then is known, milliseconds since 1970. */
  get since(): number {
    return this.record.since ?? 0;
  }

  /**
   * Every domain that an earlier process kept. The journal may know more than a record: events are written first.
   */
  load(): Actor<G>[] {
    const booted = this.boot();
    const { records, damaged } = this.store.load(booted);
    for (const { uuid, why } of damaged) {
      this.unreadable.add(uuid);
      this.log.error({ domain: uuid, why }, 'cannot read the record of a domain; its folder is left as it is');
    }
    const journaled = new Map<string, DomainEvent[]>(records.map(({ uuid }) => [uuid, []]));
    for (const { event } of this.journalOnDisk.pending) journaled.get(event.domain.uuid)?.push(event);
    this.record.lastId = Math.max(this.record.lastId, ...records.map(({ id }) => id));
    for (const record of records) {
      if (this.hasLeft(record)) {
        this.store.discard(record.uuid);
        continue;
      }
      const ahead = journaled.get(record.uuid)?.filter(({ domain }) => domain.revision > record.revision) ?? [];
      const latest = ahead.at(-1)?.domain;
      if (latest) {
        const { revision, state, reason, id, persistent, autostart, updated, name } = latest;
        Object.assign(record, { revision, state, reason, id, persistent, autostart, updated, name });
      }
      const { revision } = record;
      const { boots } = this.record;
      const bootsSince = boots - (record.boot ?? 0);
      Object.assign(record, { boot: boots, revision: revision + bootsSince * perBoot });
      const actor = new Actor<G>(record, this, this.log.child({ domain: record.uuid, name: record.name }));
      actor.toldAhead = ahead;
      if (bootsSince > 0) this.ofEarlierBoot.set(actor, { onDisk: revision, loaded: record.revision });
      try {
        actor.load(booted);
        // We died between the event of its end and its record.
        if (!actor.active) actor.forgetRun();
        if (!actor.config && !actor.live && !record.guest && !record.persistent) {
          this.store.discard(record.uuid); // It was to be created, and no process was there yet.
          continue;
        }
        if (!actor.config && !actor.live) throw new VirtError('INTERNAL_ERROR', { detail: 'it has no document' });
      } catch (error) {
        this.log.error({ domain: record.uuid, err: error }, 'cannot read a domain; its folder is left as it is');
        this.unreadable.add(record.uuid);
        continue;
      }
      this.actors.set(record.uuid, actor);
    }
    if (booted) this.keepBoot();
    return this.all();
  }

  /** The boot comes last: who dies before finds it as new as it was. A disk that is full keeps nothing from starting. */
  private keepBoot(): void {
    try {
      for (const { record, config } of this.actors.values()) {
        this.store.saveRecord(record);
        if (config && !this.store.isEstablished(record.uuid)) this.store.establish(record);
      }
      this.store.saveHost(this.record);
      this.store.saveBoot(this.record);
    } catch (err) {
      this.log.warn({ err }, 'a driver that dies now takes this boot for another one');
    }
  }

  /** Has the host booted since it was last seen? */
  private boot(): boolean {
    const boot = bootId();
    if (this.record.bootId === boot) return false;
    Object.assign(this.record, { bootId: boot, boots: this.record.boots + 1, toStart: 'all' });
    return true;
  }

  /** A power cut may leave the folder of a domain that was seen off. */
  private hasLeft({ uuid, epoch, revision }: DomainRecord): boolean {
    const left = this.tombstones.get(uuid);
    return left?.epoch === epoch && left.revision > revision;
  }

  all(): Actor<G>[] {
    return [...this.actors.values()];
  }

  find(uuid: string): Actor<G> | undefined {
    return this.actors.get(uuid);
  }

  get(uuid: string): Actor<G> {
    const actor = this.actors.get(uuid);
    if (!actor) throw new VirtError('DOMAIN_NOT_FOUND', { domain: uuid });
    return actor;
  }

  /** Throws when the domain has left while its caller waited for its turn. */
  mustHave(actor: Actor): void {
    if (this.actors.get(actor.uuid) !== actor) throw new VirtError('DOMAIN_NOT_FOUND', { domain: actor.uuid });
  }

  /** Never begin what was prepared under a claim; what is in use stays in use. */
  revoke(claim: string, actor: Actor | undefined): void {
    this.revokedClaims.add(claim);
    if (this.revokedClaims.size > maxRevoked) this.revokedClaims.delete([...this.revokedClaims][0]!);
    if (!actor || actor.active) return;
    const held = Object.entries(actor.record.disks ?? {});
    if (!held.some(([, disk]) => disk.claim === claim)) return;
    // Kept for a start without a bus, which is not to be now.
    actor.record.disks = undefined;
    actor.persist();
  }

  byName(name: string): Actor<G> | undefined {
    return this.all().find((actor) => actor.record.name === name);
  }

  buried(uuid: string): Tombstone | undefined {
    return this.tombstones.get(uuid);
  }

  /** A domain comes to live here. Its revision goes on where a former life of the same uuid ended. */
  add(fresh: Pick<DomainRecord, 'uuid' | 'name' | 'epoch' | 'persistent'>): Actor<G> {
    this.unreadable.delete(fresh.uuid);
    const former = this.tombstones.get(fresh.uuid);
    const record: DomainRecord = {
      version: 1,
      ...fresh,
      revision: former?.revision ?? 0,
      boot: this.record.boots,
      id: -1,
      state: 'shutoff',
      reason: 'unknown',
      autostart: false,
      answered: former?.answered ?? [],
    };
    const actor = new Actor<G>(record, this, this.log.child({ domain: record.uuid, name: record.name }));
    this.store.makeFolderOf(record.uuid);
    this.actors.set(record.uuid, actor);
    return actor;
  }

  /** It has come to nothing: forget it as if it had never been. */
  discard(actor: Actor<G>): void {
    this.actors.delete(actor.uuid);
    this.store.discard(actor.uuid);
  }

  /** A former life of the domain ends with its new definition on disk. */
  settle(actor: Actor<G>): void {
    this.tombstones.delete(actor.uuid);
    this.store.exhume(actor.uuid);
  }

  gone(actor: Actor): void {
    const { uuid, name, epoch, revision, answered } = actor.record;
    const tombstone = { uuid, name, epoch, revision, answered, summary: actor.summary() };
    this.actors.delete(uuid);
    this.awaited.delete(uuid);
    this.tombstones.set(uuid, tombstone);
    // One with a definition would come back with a power cut.
    this.store.bury(tombstone, actor.config !== undefined);
    this.changed();
  }

  keepAnswers(actor: Actor): void {
    const tombstone = this.tombstones.get(actor.uuid);
    if (this.actors.has(actor.uuid)) actor.persist();
    else if (tombstone) this.store.bury(tombstone);
  }

  staysBehind(actor: Actor): void {
    this.behind.add(actor);
  }

  /** Records that could not be written are tried again. */
  writeBehind(): void {
    for (const actor of this.behind) {
      try {
        if (this.actors.get(actor.uuid) === actor) actor.persist();
        this.behind.delete(actor);
      } catch {
        return; // Told of when it happened.
      }
    }
  }

  journal(event: DomainEvent): void {
    this.journalOnDisk.append(event);
    this.onJournal();
  }

  changed(): void {
    this.inventory++;
    this.onChange();
  }

  nextId(): number {
    this.record.lastId++;
    this.store.saveHost(this.record);
    return this.record.lastId;
  }

  contents(): Omit<Inventory, 'status'> {
    return {
      domains: this.all().flatMap((actor) => (actor.record.incoming === undefined ? actor.summary() : [])),
      gone: [...this.tombstones.values()].map(({ uuid, epoch, revision }) => ({ uuid, epoch, revision })),
      awaited: [...this.awaited].map((uuid) => ({ uuid, id: `autostart-${this.record.bootId}-${uuid}` })),
    };
  }

  /** What became of a command to a domain that is here, or was. */
  becameOf(uuid: string, commandId: string): Became {
    const actor = this.find(uuid);
    if (actor) return actor.becameOf(commandId);
    const answer = this.tombstones.get(uuid)?.answered.find((one) => one.id === commandId);
    return answer ? answered(answer) : { state: 'unknown' };
  }

  /** The answer that a domain gave before it left, for a command that is sent again. */
  answerOf(uuid: string, commandId: string): unknown {
    const answer = this.tombstones.get(uuid)?.answered.find((one) => one.id === commandId);
    if (!answer) throw new VirtError('DOMAIN_NOT_FOUND', { domain: uuid });
    if (answer.error) throw VirtError.fromBody(answer.error);
    return answer.response;
  }
}

/** For logs: what went wrong, in the words a user gets. */
export function reasonOf(thrown: unknown): string {
  return isVirtError(thrown) ? thrown.message : String(thrown);
}
