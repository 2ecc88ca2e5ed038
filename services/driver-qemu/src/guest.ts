/**
 * One running QEMU guest: its monitor, its process, its state.
 *
 * QEMU's events are the truth about the state; our own calls only set the reason that the next event is told with.
 * A monitor that is lost while the process lives is opened again, for as long as it takes; the guest is never harmed
 * for not answering.
 */
import { copyModel, type Device, type Domain } from '@virtbus/domain-xml';
import type { Guest, GuestFolders, GuestNews, GuestSink } from '@virtbus/driver-runtime';
import {
  resumedDetail,
  suspendedDetail,
  VirtError,
  type BlockJob,
  type DomainState,
  type LifecycleDetail,
  type ReasonOf,
} from '@virtbus/shared';
import type { Log } from '@virtbus/shared/log';
import { join } from 'node:path';
import { agentPort } from './agent-port';
import { asksForNodes, JobEngine, type JobKinds } from './block-jobs';
import { Departures } from './departures';
import { keepNumbers } from './image-numbers';
import { monitorFailure } from './monitor-failure';
import { terminate, type ExitStatus, type GuestProcess } from './process';
import type { PtyConsole } from './pty-console';
import { QmpClient, type CommandArgs, type CommandName, type CommandResult, type QmpEvent } from './qmp';
import { newsOf, wordsOf } from './qmp-news';
import type { SavedQemu } from './saved-guest';

const reconnectMs = 1_000;

export interface GuestParts {
  live: Domain;
  folders: GuestFolders;
  saved: SavedQemu;
  process: GuestProcess;
  qmp: QmpClient | undefined;
  sink: GuestSink;
  log: Log;
  /** What follows on the end of its block jobs. */
  jobKinds: JobKinds;
  /** It ran before this process did. */
  found?: boolean;
  /** Called when a device has left the guest and its document. */
  departed: (guest: QemuGuest, device: Device) => Promise<void>;
  /** After a crash of ours: devices that were joining, changing or leaving then are put in order. */
  settleDevices: (guest: QemuGuest) => Promise<void>;
  /** Called once when the process is gone, before the end is told. */
  cleanUp: (guest: QemuGuest) => Promise<void>;
}

interface Ending {
  reason: ReasonOf<'shutoff'>;
  detail: LifecycleDetail<'stopped'>;
  caused: boolean;
  trigger?: string | undefined;
}

export class QemuGuest implements Guest {
  readonly saved: SavedQemu;
  readonly consoles = new Map<string, PtyConsole>();
  state: DomainState = { state: 'paused', reason: 'starting-up' };
  /** Reset and run on when QEMU tells of the shutdown: a reboot through the power button. */
  rebootOnShutdown = false;
  /** The guest agent has its port open. */
  agentConnected = false;
  readonly folders: GuestFolders;
  readonly log: Log;
  readonly blockJobs: JobEngine;
  readonly departures: Departures;
  /** Resolves when the end has been told. */
  readonly ended: Promise<void>;
  private document: Domain;
  private process: GuestProcess;
  private qmp: QmpClient | undefined;
  private expected: { paused?: ReasonOf<'paused'>; running?: ReasonOf<'running'> } = {};
  private ending: Ending | undefined;
  /** The event of QEMU's that is being heard. */
  private trigger: string | undefined;
  private detached = false;
  private reconnecting: Promise<void> | undefined;
  private pauseReason: ReasonOf<'paused'> | undefined;
  private onPause: (() => void) | undefined;

  constructor(private readonly parts: GuestParts) {
    this.saved = parts.saved;
    this.document = parts.live;
    keepNumbers(parts.saved, parts.live);
    this.folders = parts.folders;
    this.log = parts.log;
    this.process = parts.process;
    this.blockJobs = new JobEngine(this, parts.jobKinds, parts.found === true);
    this.departures = new Departures(this, parts.departed);
    this.ended = this.process.exited.then((exit) => this.finish(exit));
    if (parts.qmp) this.use(parts.qmp);
    else this.reconnect();
  }

  get live(): Domain {
    return this.document;
  }

  set live(document: Domain) {
    this.document = document;
    keepNumbers(this.saved, document);
  }

  get pid(): number {
    return this.saved.process.pid;
  }

  get monitorPath(): string {
    return monitorPath(this.folders);
  }

  /** Ask QEMU; what goes wrong comes back in the words of the error table. */
  async ask<N extends CommandName>(
    command: N,
    args?: CommandArgs<N>,
    signal?: AbortSignal,
    timeoutMs?: number,
  ): Promise<CommandResult<N>> {
    return await this.askRaw(command, args, signal, timeoutMs);
  }

  async askRaw(command: string, args?: object, signal?: AbortSignal, timeoutMs?: number): Promise<unknown> {
    const send = async (): Promise<unknown> =>
      this.monitor.executeRaw(command, args, {
        ...(signal ? { signal } : {}),
        ...(timeoutMs ? { timeoutMs } : {}),
      });
    try {
      return await (asksForNodes(command, args) ? this.blockJobs.lookAtNodes(send, signal) : send());
    } catch (error) {
      throw monitorFailure(error, command, this.live.name);
    }
  }

  /** The monitor itself, for what needs more than one command. */
  get monitor(): QmpClient {
    if (this.qmp) return this.qmp;
    throw new VirtError('OPERATION_TIMEOUT', { detail: `QEMU of '${this.live.name}' does not answer on its monitor` });
  }

  async resume(reason: ReasonOf<'running'>, signal?: AbortSignal): Promise<void> {
    this.expected.running = reason;
    await this.ask('cont', undefined, signal);
    // RESUME came before the answer; when it did not, the guest was running already.
    if (this.state.state !== 'running') await this.refreshState(signal);
  }

  async suspend(reason: ReasonOf<'paused'>, signal?: AbortSignal): Promise<void> {
    this.expected.paused = reason;
    await this.ask('stop', undefined, signal);
    if (this.state.state !== 'paused') await this.refreshState(signal);
  }

  async destroy(how: {
    graceful: boolean;
    reason: ReasonOf<'shutoff'>;
    detail: LifecycleDetail<'stopped'>;
  }): Promise<void> {
    const before = this.ending;
    this.ending = { reason: how.reason, detail: how.detail, caused: true };
    try {
      await terminate(this.process, { graceful: how.graceful, escalateAfterMs: 2_000 });
    } catch (error) {
      this.ending = before;
      throw new VirtError('OPERATION_FAILED', { detail: (error as Error).message }, { cause: error });
    }
    await this.ended;
  }

  detach(): void {
    this.detached = true;
    for (const console of this.consoles.values()) console.close();
    this.qmp?.close();
  }

  get expectsDevices(): boolean {
    return (this.saved.joining ?? this.saved.changing) !== undefined;
  }

  /** Jobs on its images have gone on without us: take them up. */
  catchUp(): Promise<readonly BlockJob[]> {
    if (this.expectsDevices || this.saved.leaving?.length) {
      this.parts.settleDevices(this).catch((err: unknown) => {
        this.log.warn({ err }, 'what became of a device that was joining, changing or leaving cannot be found out');
      });
    }
    return this.blockJobs.catchUp();
  }

  /** What is kept to find it again has changed: it is on disk when this returns. */
  tellSaved(): void {
    this.parts.sink({ kind: 'saved' });
  }

  /** The document has changed. */
  tellLive(): void {
    const leaving = (this.saved.leaving ?? []).flatMap(({ target }) => target ?? []);
    this.parts.sink({ kind: 'live', leaving: new Set(leaving) });
  }

  tell(news: GuestNews): void {
    if (news.kind === 'state') this.state = news.to;
    const { trigger } = this;
    const triggered = trigger !== undefined && (news.kind === 'state' || news.kind === 'event');
    this.parts.sink(triggered ? { ...news, trigger } : news);
  }

  /** What it tells while it is heard is QEMU's news. */
  private heard(event: QmpEvent): void {
    this.trigger = wordsOf(event);
    try {
      newsOf(this, event);
    } finally {
      this.trigger = undefined;
    }
  }

  /** Ask QEMU how it is and tell it when that is news; for when an event may have been missed. */
  async refreshState(signal?: AbortSignal): Promise<void> {
    const { status } = await this.ask('query-status', undefined, signal);
    if (status === 'running' && this.state.state !== 'running') this.becomeRunning();
    else if (status === 'shutdown') this.powerOff('host', false);
    else if (status !== 'running' && this.state.state === 'running') this.becomePaused();
  }

  /**
   * The next pause that nobody asks for is for this reason: an event that comes before STOP says so.
   * @param paused called once it has been told, unless another reason came first
   */
  expectPause(reason: ReasonOf<'paused'>, paused?: () => void): void {
    this.pauseReason = reason;
    this.onPause = paused;
  }

  /** QEMU is about to let it run by itself, for this reason. */
  expectRun(reason: ReasonOf<'running'>): void {
    this.expected.running = reason;
  }

  becomeRunning(): void {
    if (this.state.state === 'running') return;
    const expected = this.expected.running;
    const reason = expected ?? 'unpaused';
    this.expected = {};
    this.tell({
      kind: 'state',
      to: { state: 'running', reason },
      event: { type: 'resumed', detail: resumedDetail(reason) },
      caused: expected !== undefined,
    });
  }

  becomePaused(): void {
    if (this.state.state !== 'running') return;
    const expected = this.expected.paused;
    const reason = expected ?? this.pauseReason ?? 'unknown';
    const paused = expected === undefined ? this.onPause : undefined;
    this.expected = {};
    this.pauseReason = undefined;
    this.onPause = undefined;
    this.tell({
      kind: 'state',
      to: { state: 'paused', reason },
      event: { type: 'suspended', detail: suspendedDetail(reason) },
      caused: expected !== undefined,
    });
    paused?.();
  }

  /** The guest has powered off (QEMU waits, `-no-shutdown`): do what its definition says. */
  powerOff(by: LifecycleDetail<'shutdown'>, panicked: boolean): void {
    if (this.ending) return;
    if (this.rebootOnShutdown) {
      this.rebootOnShutdown = false;
      void this.restart();
      return;
    }
    const action = panicked ? this.live.on_crash : this.live.on_poweroff;
    if (!panicked && action === 'restart') {
      void this.restart();
      return;
    }
    this.ending = panicked
      ? { reason: 'crashed', detail: 'crashed', caused: false, trigger: this.trigger }
      : { reason: 'shutdown', detail: 'shutdown', caused: false, trigger: this.trigger };
    if (!panicked && this.state.state !== 'shutdown') {
      const event = { type: 'shutdown', detail: by } as const;
      this.tell({ kind: 'state', to: { state: 'shutdown', reason: 'unknown' }, event });
    }
    terminate(this.process).catch((err: unknown) => this.log.error({ err }, 'QEMU does not end'));
  }

  /** Reset and run on in the same process. */
  async restart(): Promise<void> {
    try {
      await this.monitor.execute('system_reset');
      await this.monitor.execute('cont');
      this.tell({ kind: 'event', class: 'reboot', type: 'reboot' });
    } catch (err) {
      this.log.error({ err }, 'cannot restart the guest after its shutdown');
    }
  }

  /** A port of a virtio-serial channel was opened or closed inside the guest. */
  portChanged(alias: string, open: boolean): void {
    const channel = this.live.devices.channels.find((one) => one.alias?.name === alias);
    if (!channel) return;
    const state = open ? 'connected' : 'disconnected';
    const live = copyModel(this.live);
    const target = live.devices.channels.find((one) => one.alias?.name === alias)?.target;
    if (target) target.state = state;
    this.live = live;
    this.tellLive();
    if (channel.target?.name !== agentPort) return;
    this.agentConnected = open;
    this.tell({ kind: 'event', class: 'agent', type: state });
  }

  /** Hear the machine's events as they come; of the monitor that is connected now. */
  watch(hear: (event: QmpEvent) => void): Disposable {
    const { qmp } = this;
    qmp?.on('event', hear);
    return { [Symbol.dispose]: () => void qmp?.off('event', hear) };
  }

  /** Begin to hear a monitor's events. */
  private use(qmp: QmpClient): void {
    this.qmp = qmp;
    qmp.on('event', (event: QmpEvent) => this.heard(event));
    qmp.on('controlError', (error) => {
      this.log.error({ err: error }, 'the monitor is broken; the guest runs on');
      this.tell({ kind: 'event', class: 'control', type: 'error', detail: error.message });
    });
    qmp.on('close', () => {
      if (this.qmp === qmp) this.qmp = undefined;
      this.reconnect();
    });
  }

  private reconnect(): void {
    this.reconnecting ??= this.untilConnected().finally(() => (this.reconnecting = undefined));
  }

  /** QEMU ends its monitor a moment before it is gone: only a process that stays is worth another try. */
  private async untilConnected(): Promise<void> {
    const gone = this.process.exited.then(() => true);
    for (let isCurrent = false; !isCurrent;) {
      const over = await Promise.race([
        gone,
        new Promise<false>((go) => setTimeout(() => go(false), reconnectMs).unref()),
      ]);
      if (over || this.detached) return;
      try {
        if (!this.qmp) this.use(await QmpClient.connect(this.monitorPath, { timeoutMs: 5_000 }));
        this.log.info('monitor is back');
        await this.refreshState();
        await this.blockJobs.catchUp();
        isCurrent = this.qmp !== undefined;
      } catch {
        this.log.debug('the monitor does not answer yet');
      }
    }
  }

  private async finish({ code, signal }: ExitStatus): Promise<void> {
    if (this.detached) return;
    for (const console of this.consoles.values()) console.close();
    this.qmp?.close();
    this.blockJobs.close();
    const ending: Ending = this.ending ?? { reason: 'crashed', detail: 'failed', caused: false };
    // Of an end that nobody asked for the status is what there is to know.
    const data = this.ending ? undefined : signal ? { signal } : code === null ? undefined : { exitStatus: code };
    await this.parts.cleanUp(this).catch((err: unknown) => this.log.error({ err }, 'cannot clean up after the guest'));
    const { reason, detail, caused, trigger } = ending;
    this.parts.sink({ kind: 'ended', to: { state: 'shutoff', reason }, detail, data, caused, trigger });
  }
}

export function monitorPath(folders: GuestFolders): string {
  return join(folders.run, 'monitor.sock');
}
