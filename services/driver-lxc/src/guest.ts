/**
 * One running container: its supervisor, its init, its state.
 *
 * The supervisor's end is the container's end; the log that it writes tells how init ended, and of each reboot. Nothing
 * here asks a program: state is the freezer's, identity is /proc's.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Domain } from '@virtbus/domain-xml';
import {
  kill,
  MAX_LOG_BYTES,
  readStat,
  type Guest,
  type GuestNews,
  type GuestSink,
  type ProcessIdentity,
  type SavedGuest,
} from '@virtbus/driver-runtime';
import {
  resumedDetail,
  suspendedDetail,
  VirtError,
  type DomainState,
  type LifecycleDetail,
  type ReasonOf,
} from '@virtbus/shared';
import type { Log } from '@virtbus/shared/log';
import { innerCgroup, type ContainerCgroup } from './cgroups';
import { Consoles } from './console';
import { freeze, isFrozen, mayBeFrozen, thaw } from './freezer';
import type { Place } from './place';
import { endingData, endingOf } from './ending';
import type { GivenFolders } from './given-folders';
import type { Loop } from './images';
import { findInit, isUp, noInit } from './init';
import { output } from './programs';
import { onGrowth, type StartLogReader } from './start-log';
import type { Supervisor } from './supervisor';

/** What is kept on disk to find the container again; changed in place, and kept with the next event. */
export interface SavedContainer extends SavedGuest {
  supervisor: ProcessIdentity;
  /** Where the log of this start begins, bytes. */
  logFrom: number;
  /** Boots that have been told of: one more for each reboot. */
  boots: number;
  /** Loop devices of one that an earlier release has started. */
  loops?: Loop[];
  /** Names of devices that joined while it ran: liblxc knows nothing of them. */
  plugged: string[];
  /**
   * Devices that it was booted with and that have left since, or were about to, as libvirt writes them: liblxc brings them with each
   * boot. One that its document has still has not left.
   */
  left?: string[] | undefined;
  /** It has rebooted, and is as it was at the start: what has changed since is not done again yet. */
  lacksPlugged?: true | undefined;
  /** What is joining it, as libvirt writes it: nothing of its name was there before. */
  joining?: string | undefined;
}

export interface GuestParts {
  live: Domain;
  place: Place;
  saved: SavedContainer;
  /** Of this start. */
  story: StartLogReader;
  supervisor: Supervisor;
  cgroup: ContainerCgroup;
  sink: GuestSink;
  log: Log;
  /** Called when it has rebooted: it is made what its document says. */
  rebooted: (guest: LxcGuest) => Promise<void>;
  /** Called when it was found again: what was joining it then is taken away. */
  leaveJoining: (guest: LxcGuest) => Promise<void>;
  given: GivenFolders;
  /** Called once when the supervisor is gone, before the end is told. */
  cleanUp: (guest: LxcGuest) => Promise<void>;
}

interface Ending {
  reason: ReasonOf<'shutoff'>;
  detail: LifecycleDetail<'stopped'>;
}

/** How long init may take to end by itself, and a killed container to be gone, milliseconds. */
const gracefulMs = 15_000;
const killMs = 5_000;
const againMs = 250;
/** Between looks for processes that were killed for want of memory, milliseconds. */
const memoryWatchMs = 1_000;
/** How long a supervisor takes at most to end after its init, milliseconds. */
const endingMs = 10_000;
const giveUpMs = 30_000;
const catchUpMs = 5_000;

export class LxcGuest implements Guest {
  live: Domain;
  readonly saved: SavedContainer;
  state: DomainState = { state: 'paused', reason: 'starting-up' };
  /** Init was asked to end: what follows is a shutdown. */
  asked = false;
  readonly place: Place;
  readonly cgroup: ContainerCgroup;
  readonly consoles: Consoles;
  readonly given: GivenFolders;
  readonly log: Log;
  /** Resolves when the end has been told. */
  readonly ended: Promise<void>;
  private init: ProcessIdentity | undefined;
  private ending: Ending | undefined;
  private detached = false;
  private plugging = Promise.resolve();
  private readonly watch: Disposable;
  /** As last counted; what was before the first look is nobody's news. */
  private oomKills: number | undefined;
  private readonly memoryWatch: NodeJS.Timeout;
  /** When it was told last that processes were killed for want of memory. */
  private toldKilled = -Infinity;

  constructor(private readonly parts: GuestParts) {
    this.live = parts.live;
    this.saved = parts.saved;
    this.place = parts.place;
    this.cgroup = parts.cgroup;
    this.consoles = new Consoles(parts.live, parts.place, () => this.initPid);
    this.given = parts.given;
    this.log = parts.log;
    this.watch = onGrowth(this.place.log, () => this.readLog());
    this.findInit();
    // Version 1 tells of it through an eventfd, which Node cannot make.
    this.memoryWatch = setInterval(() => this.checkMemory(), memoryWatchMs).unref();
    this.checkMemory();
    this.ended = parts.supervisor.exited.then(() => this.finish());
  }

  /** Process 1 of the container as this host numbers it. Throws while it is rebooting. */
  get initPid(): number {
    const init = this.currentInit();
    if (init) return init.pid;
    throw noInit();
  }

  /** It has an init, which is not on its way out. */
  get isUp(): boolean {
    return this.currentInit() !== undefined;
  }

  async resume(reason: ReasonOf<'running'>): Promise<void> {
    if (isFrozen(this.cgroup)) thaw(this.cgroup);
    const event = { type: 'resumed', detail: resumedDetail(reason) } as const;
    this.tell({ kind: 'state', to: { state: 'running', reason }, event, caused: true });
  }

  async suspend(reason: ReasonOf<'paused'>, signal?: AbortSignal): Promise<void> {
    const before = this.currentInit();
    const isUp = (): boolean => {
      const now = this.currentInit();
      return now !== undefined && now.pid === before?.pid && now.startTime === before.startTime;
    };
    await freeze(this.cgroup, signal, isUp);
    const event = { type: 'suspended', detail: suspendedDetail(reason) } as const;
    this.tell({ kind: 'state', to: { state: 'paused', reason }, event, caused: true });
  }

  async destroy(how: Parameters<Guest['destroy']>[0]): Promise<void> {
    const before = this.ending;
    this.ending = { reason: how.reason, detail: how.detail };
    if (how.graceful) {
      this.signal('SIGTERM');
      if (await this.isGoneWithin(gracefulMs)) return;
      this.ending = before;
      throw new VirtError('OPERATION_FAILED', { detail: `init of '${this.live.name}' does not end on SIGTERM` });
    }
    // One that is stopped reaps nobody.
    if (/^[Tt]$/.test(readStat(this.saved.supervisor.pid)?.state ?? '')) kill(this.saved.supervisor, 'SIGKILL');
    // More than once: while the container reboots there is no init to kill, and a moment later there is another.
    for (let waited = 0; waited < killMs; waited += againMs) {
      this.signal('SIGKILL');
      if (await this.isGoneWithin(againMs)) return;
    }
    // Init dies with its supervisor (prctl(2), PR_SET_PDEATHSIG).
    kill(this.parts.supervisor.identity, 'SIGKILL');
    if (await this.isGoneWithin(giveUpMs)) return;
    this.ending = before;
    throw new VirtError('OPERATION_FAILED', { detail: `Failed to kill the processes of '${this.live.name}'` });
  }

  /** Look whether the kernel has killed a process of the container for want of memory, and tell it. */
  checkMemory(): void {
    // Version 1 counts where the process was, version 2 in all groups above it too.
    const text = this.cgroup.read('memory', `${innerCgroup}/memory.oom_control`, 'memory.events') ?? '';
    const kills = Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? this.oomKills);
    const fresh = kills - (this.oomKills ?? kills);
    this.oomKills = kills;
    if (fresh > 0) this.tellKilled(fresh);
  }

  private tellKilled(processes: number): void {
    this.toldKilled = performance.now();
    this.tell({ kind: 'event', class: 'oom', type: 'killed', data: { processes } });
  }

  detach(): void {
    this.detached = true;
    clearInterval(this.memoryWatch);
    this.watch[Symbol.dispose]();
    this.consoles.close();
  }

  /** Send a signal to init, if there is one. A frozen process gets it once it is thawed. */
  signal(signal: NodeJS.Signals): void {
    const init = this.currentInit();
    if (init) kill(init, signal);
    if (mayBeFrozen(this.cgroup)) thaw(this.cgroup);
  }

  /** The document has changed. */
  tellLive(): void {
    this.parts.sink({ kind: 'live' });
  }

  tell(news: GuestNews): void {
    if (news.kind === 'state') this.state = news.to;
    this.parts.sink(news);
  }

  /** Something was written to the log: a process that became init after the first is a reboot. */
  readLog(): void {
    if (this.detached) return;
    const { inits } = this.parts.story.read();
    if (inits.length <= this.saved.boots) return;
    const reboots = inits.length - this.saved.boots;
    this.saved.boots = inits.length;
    this.saved.lacksPlugged = true;
    this.findInit(inits.at(-1));
    for (let n = 0; n < reboots; n++) this.tell({ kind: 'event', class: 'reboot', type: 'reboot' });
    this.tellLive();
    this.boundLog();
    if (this.isPaused) void this.pauseAgain();
    this.plugAgain();
  }

  /** One that reboots without end would fill its host's disk: room of what was read, and is needed by nobody, is given back. */
  private boundLog(): void {
    const { story } = this.parts;
    if (story.lastBootFrom - this.saved.logFrom < MAX_LOG_BYTES) return;
    this.saved.logFrom = story.lastBootFrom;
    this.saved.boots = story.forgetEarlier();
    // Only then: whoever comes after us reads on from there.
    this.tell({ kind: 'saved' });
    const hole = ['--punch-hole', '--length', String(this.saved.logFrom), '--', this.place.log];
    output('fallocate', hole).catch((err: unknown) => this.log.warn({ err }, 'the log of a container grows and grows'));
  }

  /** Somebody else has thawed it, and it has booted anew, in a cgroup that is not frozen: it is paused all the same, or is told to run. */
  private async pauseAgain(): Promise<void> {
    try {
      await freeze(this.cgroup, undefined, () => this.isPaused && this.isUp);
    } catch (err) {
      if (this.detached || !this.isPaused) return;
      this.log.warn({ err }, 'a container that was paused cannot be paused again after a reboot');
      const event = { type: 'resumed', detail: resumedDetail('unpaused') } as const;
      this.tell({ kind: 'state', to: { state: 'running', reason: 'unpaused' }, event });
    }
  }

  private get isPaused(): boolean {
    return this.state.state === 'paused' && this.state.reason !== 'starting-up';
  }

  get expectsDevices(): boolean {
    return this.saved.joining !== undefined;
  }

  async catchUp(): Promise<readonly []> {
    const left = this.inTurn(() => this.parts.leaveJoining(this)).catch((err: unknown) =>
      this.log.warn({ err }, 'a device that was joining cannot be taken away'),
    );
    // The driver's other containers do not wait for one whose supervisor hangs.
    await Promise.race([left, delay(catchUpMs, undefined, { ref: false })]);
    return [];
  }

  /** What it lacks since it has rebooted; nothing when it has all. */
  plugAgain(): void {
    if (!this.saved.lacksPlugged) return;
    const restore = async (): Promise<void> => {
      const { boots } = this.saved;
      await this.parts.rebooted(this);
      // One that has rebooted meanwhile lacks it all again.
      if (this.saved.boots !== boots) return;
      this.saved.lacksPlugged = undefined;
      this.tell({ kind: 'saved' });
    };
    this.inTurn(restore).catch((err: unknown) =>
      this.log.warn({ err }, 'what has changed while it ran cannot be done again after a reboot'),
    );
  }

  /** Devices come and go one after the other: nobody takes away what another is about to bring. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.plugging.then(work);
    this.plugging = done.then(
      () => undefined,
      () => undefined,
    );
    return done;
  }

  private currentInit(): ProcessIdentity | undefined {
    if (!this.init || !isUp(this.init)) this.findInit();
    return this.init;
  }

  private findInit(pid = this.parts.story.read().inits.at(-1)): void {
    this.init = pid === undefined ? undefined : findInit(pid, this.place.cgroup.payload);
  }

  private async isGoneWithin(ms: number): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<false>((resolve) => (timer = setTimeout(() => resolve(false), ms)));
    try {
      return await Promise.race([this.ended.then(() => true), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  private async finish(): Promise<void> {
    if (this.detached) return;
    this.readLog();
    this.detached = true;
    clearInterval(this.memoryWatch);
    this.watch[Symbol.dispose]();
    this.consoles.close();
    const { inits, end } = this.parts.story.read();
    const data = this.ending ? end : endingData(end, inits.at(-1), this.place);
    // A look at the counter a moment ago may have told it.
    if (data && 'outOfMemory' in data && performance.now() - this.toldKilled > endingMs) this.tellKilled(1);
    await this.parts
      .cleanUp(this)
      .catch((err: unknown) => this.log.error({ err }, 'cannot clean up after the container'));
    const { reason, detail } = this.ending ?? endingOf(end, this.asked, this.live);
    this.parts.sink({
      kind: 'ended',
      to: { state: 'shutoff', reason },
      detail,
      data: data && { ...data },
      caused: this.ending !== undefined,
    });
  }
}
