/**
 * One domain on this host: its record, its documents, its guest when it runs, and the jobs on it.
 *
 * Everything that happens to the domain passes here, in order: the event goes to the journal, then the record to disk,
 * both within one turn of the event loop, so that a crash leaves either nothing of it or an event that the next start
 * finds. `Actor` decides nothing; the operations in `ops/` do.
 */
import { rmSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import type { Domain } from '@virtbus/domain-xml';
import {
  destroyDomain,
  errorTable,
  isActive,
  VirtError,
  type DomainEvent,
  type DomainState,
  type DomainSummary,
  type JobInfo,
  type LifecycleDetail,
  type LifecycleType,
  type TaintType,
} from '@virtbus/shared';
import { makeFolder } from '@virtbus/shared/files';
import type { Log } from '@virtbus/shared/log';
import { meter, metrics } from '@virtbus/shared/metrics';
import type { Consoles } from './consoles';
import { describe } from './document';
import type { Guest, GuestFolders, GuestNews, GuestSink, SavedGuest } from './driver';
import type { HandedOver } from './handed-over';
import { hear } from './hearing';
import { Jobs } from './jobs';
import { KeptDocuments, type Documents } from './kept-documents';
import { answered, replay, reused, type Became } from './answers';
import { ownDisks } from './images-held';
import { eventOf, type Cause, type NewEvent } from './telling';
import { answersKept, type Answered, type DomainRecord } from './record';
import type { Store } from './store';

/** What an actor needs of the host it lives on. */
export interface ActorHost {
  readonly name: string;
  readonly driver: string;
  readonly store: Store;
  readonly consoles: Consoles;
  /** Put an event into the journal. */
  journal(event: DomainEvent): void;
  /** The domain is no more: transient and stopped, or undefined. */
  gone(actor: Actor): void;
  /** The answers it has given have changed: keep them, in its record or, when it has gone, in its tombstone. */
  keepAnswers(actor: Actor): void;
  /** Its record could not be written: that is to be done as soon as it can. */
  staysBehind(actor: Actor): void;
  /** Something a list shows has changed. */
  changed(): void;
}

/** Neither the former guest nor the next one is there. */
const between: DomainState = { state: 'paused', reason: 'from-snapshot' };

export class Actor<G extends Guest = Guest> {
  readonly jobs = new Jobs();
  guest: G | undefined;
  /** The guest of a start in flight has ended: the start tells of it. */
  endedInStart: (GuestNews & { kind: 'ended' }) | undefined;
  /** Aborts a start in flight: `destroy` does. */
  starting: AbortController | undefined;
  /** Progress of the asynchronous job that runs, and of the last one that ended. */
  job: JobInfo | undefined;
  lastJob: JobInfo | undefined;
  abortJob: AbortController | undefined;
  /** The command that moves the balloon, until it has arrived: the guest takes its time. */
  ballooning: { id: string; kib: number } | undefined;
  managedSave = false;
  /** What an earlier process has told and died over before its record knew, until that is found out: nobody tells it again. */
  toldAhead: readonly DomainEvent[] = [];
  /** What an earlier process was at, of which it is not known yet how far it came. */
  unsettled: { operation: string; command: DomainRecord['pending'] } | undefined;
  /** It is `performed` in a migration: what becomes of it is not known here yet. */
  handedOver: HandedOver | undefined;
  /** Its guest ends to make place for another: a domain without a definition is not forgotten then. */
  changesGuest = false;
  /** Claims on images that commands in progress have begun to use. */
  readonly opening = new Set<string>();
  /** The commands being applied, the latest last: `destroy` may interrupt another, and agent commands run beside. */
  private causes: Cause[] = [];
  private readonly inFlight = new Map<string, { operation: string; answer: Promise<unknown> }>();
  private readonly documents: KeptDocuments;

  constructor(
    readonly record: DomainRecord,
    private readonly host: ActorHost,
    readonly log: Log,
  ) {
    this.documents = new KeptDocuments(record.uuid, host.store, log);
  }

  get config(): Domain | undefined {
    return this.documents.config;
  }

  get live(): Domain | undefined {
    return this.documents.live;
  }

  /** What a guest is about to be; on disk once it is (`setLive`). */
  set live(domain: Domain) {
    this.documents.live = domain;
  }

  get uuid(): string {
    return this.record.uuid;
  }

  get active(): boolean {
    return isActive(this.record.state);
  }

  /** The definition was changed while the guest runs. */
  get updated(): boolean {
    return this.record.updated ?? false;
  }

  /** The command that is being applied. */
  get current(): Cause | undefined {
    return this.causes.at(-1);
  }

  /** A command of ours or of a user's ends its guest. */
  get ends(): boolean {
    return (
      this.record.ending !== undefined || this.causes.some(({ operation }) => operation === destroyDomain.operation)
    );
  }

  get state(): DomainState {
    return { state: this.record.state, reason: this.record.reason } as DomainState;
  }

  /** The document a CURRENT change or query is about. */
  get document(): Domain {
    const document = (this.active ? this.live : undefined) ?? this.config ?? this.live;
    if (!document) throw new VirtError('INTERNAL_ERROR', { detail: `domain ${this.uuid} has no document` });
    return document;
  }

  get folders(): GuestFolders {
    const { store } = this.host;
    return {
      state: store.folderOf(this.uuid),
      run: store.runFolderOf(this.uuid),
      log: store.logOf(this.record.name, this.uuid),
    };
  }

  summary(): DomainSummary {
    const { record } = this;
    return {
      uuid: record.uuid,
      name: record.name,
      host: this.host.name,
      driver: this.host.driver,
      epoch: record.epoch,
      revision: record.revision,
      id: record.id,
      state: record.state,
      reason: record.reason,
      persistent: record.persistent,
      updated: this.updated,
      autostart: record.autostart,
      managedSave: this.managedSave,
      ...(record.tainted ? { tainted: record.tainted } : {}),
      ...describe(this.document),
    };
  }

  /** Read the documents of an earlier process from disk. @param booted since: its guest is gone */
  load(booted: boolean): void {
    this.documents.load(booted);
  }

  setConfig(domain: Domain): void {
    this.documents.set('config', domain);
    this.record.updated = this.active;
  }

  setLive(domain: Domain): void {
    this.documents.set('live', domain);
  }

  dropConfig(): void {
    this.documents.drop('config');
    this.record.updated = false;
  }

  /** Its disks stand on other images, and a definition goes on as its guest does: so it is, also while the disk takes no documents. */
  standsOn(documents: Documents): void {
    this.documents.become(documents);
  }

  /** The process is there: remember how to find it again. */
  setSaved(saved: SavedGuest): void {
    this.record.guest = saved;
    this.persist();
  }

  /** Enter a state. Whoever calls tells of it next, or persists it: an event goes to the journal before the record. */
  enter(to: DomainState): void {
    this.record.state = to.state;
    this.record.reason = to.reason;
  }

  /** Something happened: the revision rises, the event is journaled, the record kept. */
  emit(event: NewEvent): void {
    const { record } = this;
    if (this.wasTold(event)) return this.follow();
    const cause = event.cause === undefined ? this.current : event.cause;
    const { revision } = record;
    record.revision++;
    const told = eventOf(event, cause, this.host.name, this.summary());
    try {
      this.host.journal(told);
    } catch (error) {
      record.revision = revision;
      throw error;
    }
    meter.count(metrics.domainEvents, { class: event.class, type: event.type });
    if (event.class === 'block-job' && event.type !== 'ready') meter.count(metrics.blockJobs, { outcome: event.type });
    this.follow();
    this.host.changed();
    this.log.info(
      { event: `${event.class}.${event.type}`, detail: event.detail, revision: record.revision, commandId: cause?.id },
      'event',
    );
  }

  /** What is in the journal has happened: a record that cannot be written now, as on a disk that is full, follows later. */
  private follow(): void {
    try {
      this.persist();
    } catch (err) {
      this.log.warn({ err }, 'the record of a domain stays behind what has been told of it until it can be written');
      this.host.staysBehind(this);
    }
  }

  private wasTold({ class: of, type, data }: NewEvent): boolean {
    const told = this.toldAhead.find(
      (one) => one.class === of && one.type === type && isDeepStrictEqual(one.data, data),
    );
    this.toldAhead = this.toldAhead.filter((one) => one !== told);
    return told !== undefined;
  }

  lifecycle<T extends LifecycleType>(type: T, detail: LifecycleDetail<T>, cause?: NewEvent['cause']): void {
    this.emit({ class: 'lifecycle', type, detail, cause });
  }

  /** A definition says something that nobody knows: told, so that it is not lost in silence. */
  warnIgnored(warnings: readonly string[], cause?: NewEvent['cause']): void {
    if (warnings.length > 0) this.emit({ class: 'warning', type: 'ignored', data: { warnings }, cause });
  }

  /** What makes this run one that nobody vouches for; told once a run. */
  taint(type: TaintType, cause?: NewEvent['cause']): void {
    const { tainted = [] } = this.record;
    if (tainted.includes(type)) return;
    this.record.tainted = [...tainted, type];
    this.emit({ class: 'taint', type, cause });
  }

  persist(): void {
    this.documents.saveUnsaved();
    this.host.store.saveRecord(this.record);
  }

  /** As `persist`, and there after a power cut: for what a user has set. */
  establish(): void {
    this.documents.saveUnsaved();
    this.host.store.establish(this.record);
  }

  /** What the guest of the present run tells; what a former one still has to say comes too late. */
  listener(): GuestSink {
    const { id } = this.record;
    return (news) => {
      if (this.record.id === id) this.hear(news);
    };
  }

  hear(news: GuestNews): void {
    hear(this, this.host, news);
  }

  /**
   * Back to a definition: nothing of the guest remains. A transient domain that changes its guest stays active meanwhile.
   * Whoever calls tells of it next, or persists it.
   */
  shutOff(to: DomainState & { state: 'shutoff' }): void {
    const { state, reason } = this.changesGuest && !this.config ? between : to;
    this.guest = undefined;
    this.forgetRun();
    this.ballooning = undefined;
    this.record.id = -1;
    this.record.state = state;
    this.record.reason = reason;
    if (this.config) this.documents.drop('live');
    this.record.updated = false;
    rmSync(this.folders.run, { recursive: true, force: true });
  }

  /** What the record keeps of a run that is over. */
  forgetRun(): void {
    const { record } = this;
    record.guest = undefined;
    record.asked = undefined;
    record.ending = undefined;
    record.goesOn = undefined;
    record.tainted = undefined;
    record.disks = this.startsItself ? ownDisks(record.disks) : undefined;
  }

  /** End its guest. Why is on disk before: whoever finds it gone after a crash of ours knows. */
  async endGuest(how: Parameters<Guest['destroy']>[0]): Promise<void> {
    this.record.ending = { reason: how.reason, detail: how.detail };
    this.persist();
    try {
      await this.guest?.destroy(how);
    } finally {
      this.record.ending = undefined;
    }
  }

  /** It is to start when its host comes up, also where no bus is there to ask what its disks stand on. */
  get startsItself(): boolean {
    return this.record.autostart && this.config !== undefined;
  }

  makeRunFolder(): void {
    makeFolder(this.folders.run, 0o700);
  }

  /** Run a command once: the same id gets its first answer again, also from before a restart. */
  once<T>(cause: Cause, run: () => Promise<T>): Promise<T> {
    const known = this.record.answered.find((answer) => answer.id === cause.id);
    if (known) return replay<T>(known, cause);
    const flying = this.inFlight.get(cause.id);
    if (flying && flying.operation !== cause.operation) return reused(cause.id, flying.operation);
    if (flying) return flying.answer as Promise<T>;
    const answer = this.applyOnce(cause, run);
    this.inFlight.set(cause.id, { operation: cause.operation, answer });
    return answer.finally(() => this.inFlight.delete(cause.id));
  }

  private async applyOnce<T>(cause: Cause, run: () => Promise<T>): Promise<T> {
    try {
      const response = await run();
      this.remember({ id: cause.id, operation: cause.operation, response });
      return response;
    } catch (thrown) {
      const error = VirtError.from(thrown);
      // A failure that time may mend is no final answer: the same id may be tried again.
      if (errorTable[error.code].retry === 'never' && error.code !== 'INTERNAL_ERROR') {
        this.remember({ id: cause.id, operation: cause.operation, error: error.toBody() });
      } else this.host.keepAnswers(this);
      throw error;
    }
  }

  /** What became of a command; one whose end is still being found out after a restart is pending, too. */
  becameOf(id: string): Became {
    const known = this.record.answered.find((answer) => answer.id === id);
    if (known) return answered(known);
    return { state: this.unsettled?.command?.id === id || this.applies(id) ? 'pending' : 'unknown' };
  }

  /** Is this command being applied right now? */
  applies(id: string): boolean {
    return this.inFlight.has(id);
  }

  remember(answer: Answered): void {
    this.record.answered.push(answer);
    if (this.record.answered.length > answersKept) this.record.answered.shift();
    if (this.record.pending?.id === answer.id) this.record.pending = undefined;
    this.host.keepAnswers(this);
  }

  /** While `work` runs, effects that it causes carry its command's id. */
  async as<T>(cause: Cause, work: () => Promise<T>): Promise<T> {
    this.causes.push(cause);
    this.notePending();
    try {
      this.persist();
      return await work();
    } finally {
      this.causes = this.causes.filter((one) => one !== cause);
      this.notePending();
    }
  }

  private notePending(): void {
    const { current } = this;
    this.record.pending = current && { id: current.id, operation: current.operation };
  }
}
